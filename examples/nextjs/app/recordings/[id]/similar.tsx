'use client'

import { useQuery } from '@tanstack/react-query'
import { useSupabase } from '@/app/providers'
import { LISTED, RecordingItem } from '@/components/recording-item'

/** What sounds like this recording, among those that the reader may hear. */
export function Similar({ id }: { id: string }) {
  const supabase = useSupabase()
  const { data } = useQuery({
    queryKey: ['similar', id],
    queryFn: async () => {
      const { data: near, error } = await supabase.rpc('similar_audio', { audio_id: id, limit: 6 })
      if (error) throw error
      const ids = near.map((row) => row.id)
      if (ids.length === 0) return []
      const { data: rows, error: failed } = await supabase.from('audio_files').select(LISTED).in('id', ids)
      if (failed) throw failed
      const byId = new Map(rows.map((row) => [row.id, row]))
      return ids.flatMap((each) => byId.get(each) ?? [])
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
