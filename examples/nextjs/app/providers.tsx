'use client'

import { QueryClient, QueryClientProvider, useQueryClient } from '@tanstack/react-query'
import { useRouter } from 'next/navigation'
import { createContext, use, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from 'react'
import { PlayerBar } from '@/components/player-bar'
import type { Client } from '@/lib/soundscape/database'
import { watchLibrary, type LiveTable } from '@/lib/soundscape/live'
import { Player } from '@/lib/soundscape/player'
import { UploadQueue } from '@/lib/soundscape/upload-queue'
import { clientInBrowsersOnly, loadClient } from '@/lib/supabase/browser'
import { publishableKey, supabaseUrl } from '@/lib/supabase/settings'

/** Which queries read which tables. */
const KEYS: Record<LiveTable, string[]> = {
  audio_files: ['library'],
  playlists: ['playlists'],
  playlist_items: ['playlist', 'playlists'],
  likes: ['likes', 'like'],
  notifications: ['notifications'],
}
const TABLES = Object.keys(KEYS) as LiveTable[]

interface Services {
  supabase: Client
  player: Player
  uploads: UploadQueue
  /** End the session in this browser, or with `global` on all devices, then open a page. */
  leave: (path: string, scope?: 'local' | 'global') => Promise<void>
}

const ServicesContext = createContext<Services | null>(null)
const UserContext = createContext<string | null>(null)

const isServer = typeof window === 'undefined'
// The sooner it is asked for, the sooner the page works.
if (!isServer) void loadClient().catch(() => undefined)

/** What lives as long as the tab: the client, the cache, the sound that plays, the uploads. */
export function Providers({ userId, children }: { userId: string | null; children: ReactNode }) {
  const [queries] = useState(
    // supabase-js tries a read four times in seven seconds by itself. Three retries more, TanStack's default, would keep
    // the reader waiting for 35 seconds until the page says what is wrong.
    () => new QueryClient({ defaultOptions: { queries: { staleTime: 30_000, refetchOnReconnect: 'always', retry: 1 } } }),
  )
  return (
    <UserContext.Provider value={userId}>
      <QueryClientProvider client={queries}>
        <ServicesProvider>{children}</ServicesProvider>
      </QueryClientProvider>
    </UserContext.Provider>
  )
}

function ServicesProvider({ children }: { children: ReactNode }) {
  // Until the client is there, the page stands as the server rendered it. A <Suspense> around this would make the server
  // send the page without its content first, and with status 200 where nothing is found.
  const supabase = isServer ? clientInBrowsersOnly : use(loadClient())
  const queries = useQueryClient()
  const userId = useUserId()
  const [services] = useState<Omit<Services, 'leave'>>(() => {
    const project = { url: supabaseUrl, publishableKey }
    const uploads = new UploadQueue(supabase, project, () => void queries.invalidateQueries({ queryKey: ['library'] }))
    const player = new Player(supabase, project, () => void queries.invalidateQueries({ queryKey: ['history'] }))
    return { supabase, player, uploads }
  })
  const router = useRouter()
  const { player } = services
  const isLeaving = useRef(false)
  const leave = useCallback<Services['leave']>(async (path, scope = 'local') => {
    isLeaving.current = true
    try {
      const { error } = await supabase.auth.signOut({ scope })
      if (error) console.error('The session did not end:', error.message)
    } finally {
      // A new document, so that nothing that was read before is left. If the session goes on, its header says so.
      location.assign(path)
      isLeaving.current = false
    }
  }, [supabase])
  const value = useMemo(() => ({ ...services, leave }), [services, leave])

  useEffect(() => {
    if (!userId) return
    const changed = new Set<LiveTable>()
    let timer: ReturnType<typeof setTimeout> | undefined
    // An upload of forty files is one refetch, not a hundred and twenty.
    const stop = watchLibrary(supabase, userId, (table) => {
      for (const name of table ? [table] : TABLES) changed.add(name)
      clearTimeout(timer)
      timer = setTimeout(() => {
        const keys = new Set([...changed].flatMap((name) => KEYS[name]))
        changed.clear()
        for (const key of keys) void queries.invalidateQueries({ queryKey: [key] })
      }, 250)
    })
    return () => {
      clearTimeout(timer)
      stop()
    }
  }, [supabase, queries, userId])

  useEffect(() => {
    // Signed in or out here or in another tab: what was read for the one before must not be seen by the next.
    let present = userId
    const { data } = supabase.auth.onAuthStateChange((_, session) => {
      const next = session?.user.id ?? null
      if (next !== present) {
        present = next
        player.stop()
        queries.clear()
        // A refresh of a members' page leads to sign-in. It would overtake the page that this tab is leaving for.
        if (!isLeaving.current) router.refresh()
      }
      player.setToken(session?.access_token ?? null)
    })
    addEventListener('pagehide', player.leave)
    return () => {
      data.subscription.unsubscribe()
      removeEventListener('pagehide', player.leave)
    }
  }, [supabase, player, queries, router, userId])

  return (
    <ServicesContext.Provider value={value}>
      {children}
      <PlayerBar />
    </ServicesContext.Provider>
  )
}

function useServices(): Services {
  const services = useContext(ServicesContext)
  if (!services) throw new Error('This needs Providers around it.')
  return services
}

export const useSupabase = (): Client => useServices().supabase
export const usePlayer = (): Player => useServices().player
export const useLeave = (): Services['leave'] => useServices().leave
export const useUploads = (): UploadQueue => useServices().uploads
/** The id of whoever is signed in. */
export const useUserId = (): string | null => useContext(UserContext)
