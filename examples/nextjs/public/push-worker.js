/** The service worker that shows web pushes. It caches nothing and answers no request. */
self.addEventListener('push', (event) => {
  const { id, title, body, path, language } = event.data.json()
  // The tag is the message's own: one that comes a second time replaces the first, without a sound.
  event.waitUntil(self.registration.showNotification(title, { body, lang: language, tag: id, icon: '/icon.svg', data: { path } }))
})

self.addEventListener('notificationclick', (event) => {
  event.notification.close()
  const url = new URL(event.notification.data.path, self.location.origin)
  // A push says which page of ours it opens, never another host's.
  if (url.origin !== self.location.origin) return
  event.waitUntil(
    self.clients.matchAll({ type: 'window' }).then((windows) => {
      const open = windows.find((window) => 'navigate' in window)
      return open ? open.focus().then(() => open.navigate(url.href)) : self.clients.openWindow(url.href)
    }),
  )
})
