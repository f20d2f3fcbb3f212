'use client'

import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { useRouter } from 'next/navigation'
import { createContext, useContext, useEffect, useState, type ReactNode } from 'react'
import { createClient, type Client } from '@/lib/supabase/browser'

const SupabaseContext = createContext<Client | null>(null)

export function Providers({ children }: { children: ReactNode }) {
  const [supabase] = useState(createClient)
  const [queries] = useState(
    () => new QueryClient({ defaultOptions: { queries: { staleTime: 30_000, refetchOnReconnect: 'always' } } }),
  )
  const router = useRouter()

  useEffect(() => {
    // Signed in or out here or in another tab: what was read for the one before must not be seen by the next.
    let userId: string | undefined | null = null
    const { data } = supabase.auth.onAuthStateChange((_, session) => {
      if (userId !== null && session?.user.id !== userId) {
        queries.clear()
        router.refresh()
      }
      userId = session?.user.id
    })
    return () => data.subscription.unsubscribe()
  }, [supabase, queries, router])

  return (
    <SupabaseContext.Provider value={supabase}>
      <QueryClientProvider client={queries}>{children}</QueryClientProvider>
    </SupabaseContext.Provider>
  )
}

export function useSupabase(): Client {
  const supabase = useContext(SupabaseContext)
  if (!supabase) throw new Error('useSupabase needs Providers around it.')
  return supabase
}
