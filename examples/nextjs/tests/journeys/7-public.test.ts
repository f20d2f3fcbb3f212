/** Journey 7: public pages as a stranger, a link preview and a podcast app see them: without a session, without scripts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertAccessible, picture, SITE, useBrowser } from '../browser.ts'
import { giveRecording, makePerson, operator, type Person } from '../people.ts'
import { chord, writeSound } from '../sounds.ts'

const TITLE = 'Bells & “birds” <at> dawn'
let person: Person
let id = ''
let hidden = ''
const session = useBrowser(async ({ folder }) => {
  person = await makePerson('Noor')
  id = await giveRecording(person, await writeSound(folder, 'Bells.wav', 6, chord(250)), { title: TITLE, isPublic: true })
  hidden = await giveRecording(person, await writeSound(folder, 'Secret.wav', 4, chord(350)), { title: 'My secret' })
  await operator.from('audio_files').update({ description: 'Recorded by the lake.' }).eq('id', id)
})

const read = async (path: string) => {
  const response = await fetch(SITE + path)
  return { status: response.status, html: await response.text(), headers: response.headers }
}
const metaOf = (html: string, name: string) =>
  new RegExp(`<meta (?:property|name)="${name}" content="([^"]*)"`).exec(html)?.[1]?.replaceAll('&amp;', '&')
const linkOf = (html: string, type: string) =>
  new RegExp(`<link rel="alternate" type="${type.replace('+', '\\+')}"[^>]*href="([^"]*)"`).exec(html)?.[1]?.replaceAll('&amp;', '&')

test('a recording’s page is complete without scripts, and its preview plays', async () => {
  const { html, status } = await read(`/recordings/${id}`)
  assert.equal(status, 200)
  assert.match(html, /<title>Bells &amp; “birds” &lt;at&gt; dawn · SoundScape<\/title>/)
  assert.equal(metaOf(html, 'description'), 'Recorded by the lake.')
  assert.equal(metaOf(html, 'og:url'), `${SITE}/recordings/${id}`)
  assert.match(html, /<h1[^>]*>Bells &amp; “birds” &lt;at&gt; dawn<\/h1>/)
  const audio = await fetch(metaOf(html, 'og:audio')!)
  assert.equal(audio.status, 200)
  assert.match(audio.headers.get('content-type')!, /^audio\//)
  const image = await fetch(metaOf(html, 'og:image')!)
  assert.match(image.headers.get('content-type')!, /^image\//)
})

test('oEmbed gives a player that other sites can show', async () => {
  const { html } = await read(`/recordings/${id}`)
  const response = await fetch(linkOf(html, 'application/json+oembed')!)
  const embed = (await response.json()) as { title: string; html: string }
  assert.equal(embed.title, TITLE)
  const address = /src="([^"]+)"/.exec(embed.html)![1]!.replaceAll('&amp;', '&')
  assert.equal(address, `${SITE}/embed/${id}`)
  const { page, browser, complaints } = session
  await page.goto(address)
  await page.getByRole('button', { name: 'Play', exact: true }).click()
  await page.getByText(/^0:0[1-9] \/ 0:06$/).waitFor()
  await picture(page, 'embed')
  await assertAccessible(page, 'embed')
  const { headers } = await read(`/embed/${id}`)
  assert.match(headers.get('content-security-policy')!, /frame-ancestors \*/)
  assert.ok(browser.isConnected() && complaints.length === 0)
})

test('a person’s page lists what is public, and its feed has enclosures', async () => {
  const { html } = await read(`/users/${person.id}`)
  assert.match(html, /<title>Noor · SoundScape<\/title>/)
  assert.ok(html.includes('Bells &amp; “birds” &lt;at&gt; dawn'))
  assert.ok(!html.includes('My secret'))
  const feed = await (await fetch(linkOf(html, 'application/rss+xml')!)).text()
  assert.match(feed, new RegExp(`<enclosure[^>]+url="[^"]*/api/audio/${id}/preview`))
  assert.ok(feed.includes(`${SITE}/recordings/${id}`) && !feed.includes('My secret'))
  const { page } = session
  await page.goto(`/users/${person.id}`)
  await page.getByRole('link', { name: TITLE }).waitFor()
  await picture(page, 'user')
  await assertAccessible(page, 'user')
})

test('what is private is not there for strangers, on no page', async () => {
  for (const path of [`/recordings/${hidden}`, `/embed/${hidden}`]) {
    const { html, status } = await read(path)
    assert.equal(status, 404, path)
    assert.ok(!html.includes('My secret'), path)
  }
  const { headers } = await read(`/recordings/${id}`)
  assert.match(headers.get('content-security-policy')!, /frame-ancestors 'none'/)
  assert.match(headers.get('content-security-policy')!, /script-src 'self' 'nonce-[^']+'/)
})
