'use client'

import { useQuery } from '@tanstack/react-query'
import { usePlayer, useSupabase } from '@/app/providers'
import { Icon } from '@/components/icons'
import { RecordingList } from '@/components/recording-list'
import { readListed } from '@/lib/soundscape/listed'
import { radioFrom } from '@/lib/soundscape/radio'

/** What sounds like this recording, among those that the reader may hear. */
export function Similar({ id }: { id: string }) {
  const supabase = useSupabase()
  const player = usePlayer()
  const { data } = useQuery({
    queryKey: ['similar', id],
    queryFn: async () => {
      const { data: near, error } = await supabase.rpc('similar_audio', { audio_id: id, limit: 8 })
      if (error) throw error
      return readListed(supabase, near.map((row) => row.id))
    },
  })
  if (!data?.length) return null
  return (
    <>
      <div className="row spread" style={{ margin: '2.5rem 0 0.75rem' }}>
        <h2 style={{ margin: 0 }}>Sounds like this</h2>
        <button
          onClick={async () => {
            const more = radioFrom(supabase, id)
            const first = await more([])
            if (first.length > 0) await player.play(first, 0, { context: 'radio', more })
          }}
        >
          <Icon name="radio" /> Start radio
        </button>
      </div>
      <RecordingList recordings={data} context="similar" label="Similar recordings" />
    </>
  )
}
