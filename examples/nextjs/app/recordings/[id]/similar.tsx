'use client'

import { useQuery } from '@tanstack/react-query'
import { useSupabase } from '@/app/providers'
import { readListed, RecordingItem } from '@/components/recording-item'

/** What sounds like this recording, among those that the reader may hear. */
export function Similar({ id }: { id: string }) {
  const supabase = useSupabase()
  const { data } = useQuery({
    queryKey: ['similar', id],
    queryFn: async () => {
      const { data: near, error } = await supabase.rpc('similar_audio', { audio_id: id, limit: 6 })
      if (error) throw error
      return readListed(supabase, near.map((row) => row.id))
    },
  })
  if (!data?.length) return null
  return (
    <>
      <h2>Sounds like this</h2>
      <ul className="list">
        {data.map((recording) => (
          <li key={recording.id}>
            <RecordingItem recording={recording} />
          </li>
        ))}
      </ul>
    </>
  )
}
