'use client'

import { useQuery } from '@tanstack/react-query'
import { useSupabase, useUserId } from '@/app/providers'
import { MatchItem } from '@/components/match-item'
import { readMatches } from '@/lib/soundscape/matches'

/** Where the same sound is too. */
export function Matches({ id, isOwner }: { id: string; isOwner: boolean }) {
  const supabase = useSupabase()
  const userId = useUserId()
  const { data } = useQuery({ queryKey: ['matches', id, userId], queryFn: () => readMatches(supabase, [id]) })
  const open = data?.filter(({ match }) => !match.dismissed_at) ?? []
  if (open.length === 0) return null
  return (
    <>
      <h2>The same sound elsewhere</h2>
      <div className="stack">
        {open.map((found) => (
          <MatchItem key={found.match.id} found={found} canDismiss={isOwner} />
        ))}
      </div>
    </>
  )
}
