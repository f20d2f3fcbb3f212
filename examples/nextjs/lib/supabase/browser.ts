import type { Client, Database } from '@/lib/soundscape/database'
import { publishableKey, supabaseUrl } from './settings'

let loading: Promise<Client> | undefined

/**
 * The client of this browser tab. The session lies in cookies, so that server components see it too.
 *
 * supabase-js is a third of all script. It is fetched beside the page, which can be read before it is there.
 */
export function loadClient(): Promise<Client> {
  loading ??= import('@supabase/ssr').then(
    ({ createBrowserClient }) => createBrowserClient<Database>(supabaseUrl, publishableKey),
    (error: unknown) => {
      // Offline, for example. Whoever asks again tries again.
      loading = undefined
      throw error
    },
  )
  return loading
}

/** Stands for the client while a server renders components for browsers: they hand it on, and call it in effects only. */
export const clientInBrowsersOnly = new Proxy({}, {
  get() {
    throw new Error('This client is for browsers. On a server, use lib/supabase/server.')
  },
}) as Client
