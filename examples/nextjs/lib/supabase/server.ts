import { createServerClient } from '@supabase/ssr'
import { cookies } from 'next/headers'
import type { Database } from '@/lib/soundscape/database'
import { publishableKey, supabaseUrl } from './settings'

/** A client with the session of the request that is being answered. Make a new one for each request. */
export async function createClient() {
  const store = await cookies()
  return createServerClient<Database>(supabaseUrl, publishableKey, {
    cookies: {
      getAll: () => store.getAll(),
      setAll: (all) => {
        try {
          all.forEach(({ name, value, options }) => store.set(name, value, options))
        } catch {
          // Server components may not set cookies. proxy.ts refreshes the session instead.
        }
      },
    },
  })
}
