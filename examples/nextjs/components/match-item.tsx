'use client'

import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useSupabase, useUserId } from '@/app/providers'
import { align, kindInWords, type FoundMatch, type Side } from '@/lib/soundscape/matches'
import { duration } from '@/lib/soundscape/words'
import { Link } from './link'
import { Thumbnail } from './thumbnail'

/** A claim that two recordings share sound: both waveforms, laid over one another where the claim says. */
export function MatchItem({ found, canDismiss }: { found: FoundMatch; canDismiss: boolean }) {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const userId = useUserId()
  const { match, recording, matched } = found
  const place = align(found)
  const isMine = recording.user_id === userId
  const wasDismissed = isMine ? match.owner_dismissed_at : match.matched_owner_dismissed_at
  const dismiss = useMutation({
    mutationFn: async () => {
      const { error } = await supabase.rpc('dismiss_match', { match: match.id, dismissed: !wasDismissed })
      if (error) throw error
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: ['matches'] }),
  })
  const scale = (seconds: number) => ((seconds - place.startS) / (place.endS - place.startS)) * 100
  const sharedStyle = { left: `${scale(place.shared.startS)}%`, width: `${scale(place.shared.endS) - scale(place.shared.startS)}%` }
  const rows: [Side, { startS: number; endS: number }][] = [[recording, place.own], [matched, place.other]]
  return (
    // No landmark: two claims may be about recordings of the same titles.
    <article className="card stack" aria-label={`${recording.title} and ${matched.title}`}>
      <div className="row spread">
        <div>
          <strong>{kindInWords(match.kind)}</strong>{' '}
          <span className="soft small">
            {Math.round(match.confidence * 100)} % certain · starts at {duration(Math.max(0, place.own.startS))} of the other recording
          </span>
        </div>
        {canDismiss && (
          <button onClick={() => dismiss.mutate()} disabled={dismiss.isPending}>
            {wasDismissed ? 'Claim again' : 'Dismiss'}
          </button>
        )}
      </div>
      <div className="aligned">
        {rows.map(([side, part]) => (
          <div key={side.id}>
            <div className="part" style={{ left: `${scale(part.startS)}%`, width: `${scale(part.endS) - scale(part.startS)}%` }}>
              {side.peaks && <Thumbnail peaks={side.peaks} title={side.title} />}
            </div>
            <div className="shared" style={sharedStyle} />
          </div>
        ))}
      </div>
      <div className="row spread small">
        {rows.map(([side]) => (
          <Link key={side.id} href={`/recordings/${side.id}`} dir="auto">
            {side.title}
          </Link>
        ))}
      </div>
      {dismiss.isError && <p className="bad small" role="alert">{dismiss.error.message}</p>}
    </article>
  )
}
