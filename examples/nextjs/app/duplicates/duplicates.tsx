'use client'

import { useQuery } from '@tanstack/react-query'
import { useSupabase, useUserId } from '@/app/providers'
import { Icon } from '@/components/icons'
import { MatchItem } from '@/components/match-item'
import { readMatches } from '@/lib/soundscape/matches'

const NEWEST = 200

/** What the reader's recordings share with others, and with one another. */
export function Duplicates() {
  const supabase = useSupabase()
  const userId = useUserId()
  const { data, error, isPending } = useQuery({
    queryKey: ['matches', 'mine', userId],
    queryFn: async () => {
      const { data, error } = await supabase
        .from('audio_files').select('id').eq('user_id', userId ?? '').eq('status', 'ready')
        .order('created_at', { ascending: false }).limit(NEWEST)
      if (error) throw error
      return readMatches(supabase, data.map(({ id }) => id))
    },
  })
  if (error) return <p className="notice bad" role="alert">The claims could not be read: {error.message}</p>
  if (isPending) return <p className="soft">Loading …</p>
  const open = data.filter(({ match }) => !match.dismissed_at)
  if (open.length === 0) {
    return (
      <div className="empty">
        <Icon name="wave" />
        <p>No duplicates: your recordings share no sound with each other or with anybody else’s.</p>
      </div>
    )
  }
  return (
    <>
      <p className="lead">Recordings that share the same sound. Finding a match changes nothing by itself.</p>
      <div className="stack">
        {open.map((found) => (
          <MatchItem key={found.match.id} found={found} canDismiss />
        ))}
      </div>
    </>
  )
}
