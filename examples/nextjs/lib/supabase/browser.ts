import { createBrowserClient } from '@supabase/ssr'
import type { Database } from '@/lib/soundscape/database'
import { publishableKey, supabaseUrl } from './settings'

/** The client of this browser tab. The session lies in cookies, so that server components see it too. */
export function createClient() {
  return createBrowserClient<Database>(supabaseUrl, publishableKey)
}

export type Client = ReturnType<typeof createClient>
