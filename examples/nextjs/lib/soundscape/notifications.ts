/** Which notifications the reader wants, and whether this browser takes pushes. */
import type { Client } from './database'
import type { Database } from '../../../../supabase/database.types'

export type Setting = Database['public']['Functions']['notification_settings']['Returns'][number]
export type Channel = Database['public']['Functions']['notification_channels']['Returns'][number]
export const CHANNELS = { in_app: 'Here', email: 'E-mail', push: 'Push' } as const
export type ChannelName = keyof typeof CHANNELS

/** Why a channel does not reach the reader, in words. */
export function channelProblem({ channel, is_on, reason }: Channel): string | null {
  if (is_on) return null
  const name = CHANNELS[channel as ChannelName]
  switch (reason) {
    case 'no_address':
      return `${name}: confirm your address first.`
    case 'address_ended':
      return `${name}: a mail to your address came back. Change the address in your account.`
    case 'no_worker':
      return `${name}: this project’s worker is not running.`
    default:
      return `${name}: this project has not switched it on.`
  }
}

/** Put a setting where the reader wants it. */
export async function prefer(supabase: Client, userId: string, setting: Pick<Setting, 'kind' | 'channel'>, enabled: boolean) {
  const { error } = await supabase.from('notification_preferences').upsert({
    user_id: userId,
    kind: setting.kind as Database['public']['Tables']['notification_preferences']['Row']['kind'],
    channel: setting.channel as ChannelName,
    enabled,
  })
  if (error) throw error
}

export const canPush = () => 'serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window

/** The subscription of this browser, if it has one. */
export async function findSubscription(): Promise<PushSubscription | null> {
  if (!canPush()) return null
  const registration = await navigator.serviceWorker.getRegistration('/push-worker.js')
  return (await registration?.pushManager.getSubscription()) ?? null
}

/** Ask the reader, subscribe this browser, and tell the project. Returns why not, if it cannot be. */
export async function subscribe(supabase: Client, publicKey: string): Promise<string | null> {
  if ((await Notification.requestPermission()) !== 'granted') return 'The browser was not allowed to show notifications.'
  await navigator.serviceWorker.register('/push-worker.js')
  const registration = await navigator.serviceWorker.ready
  const former = await registration.pushManager.getSubscription()
  // One that was made with another key takes none of our pushes.
  if (former && encode(former.options.applicationServerKey) !== publicKey) await former.unsubscribe()
  const subscription = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: publicKey })
  const { error } = await supabase.rpc('save_push_subscription', {
    endpoint: subscription.endpoint,
    p256dh: encode(subscription.getKey('p256dh')),
    auth: encode(subscription.getKey('auth')),
  })
  if (!error) return null
  await subscription.unsubscribe()
  return error.message
}

/** No more pushes to this browser. */
export async function unsubscribe(supabase: Client): Promise<void> {
  const subscription = await findSubscription()
  if (!subscription) return
  await supabase.from('push_subscriptions').delete().eq('endpoint', subscription.endpoint)
  await subscription.unsubscribe()
}

function encode(bytes: ArrayBuffer | null): string {
  const binary = String.fromCharCode(...new Uint8Array(bytes ?? new ArrayBuffer(0)))
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}
