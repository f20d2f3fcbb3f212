'use client'

import { useQuery } from '@tanstack/react-query'
import { useSupabase, useUserId } from '@/app/providers'
import { Icon } from '@/components/icons'
import { RecordingList } from '@/components/recording-list'
import { LISTED, type Listed } from '@/lib/soundscape/listed'

export function Likes() {
  const supabase = useSupabase()
  const userId = useUserId()
  const { data, error, isPending } = useQuery({
    queryKey: ['likes', userId],
    queryFn: async () => {
      const { data, error } = await supabase
        .from('likes').select(`created_at, audio_files(${LISTED})`).order('created_at', { ascending: false }).limit(200)
      if (error) throw error
      return data.flatMap(({ audio_files }) => (audio_files ? [audio_files as Listed] : []))
    },
  })
  if (error) return <p className="notice bad" role="alert">Your likes could not be read: {error.message}</p>
  if (isPending) return <p className="soft">Loading …</p>
  if (data.length === 0) {
    return (
      <div className="empty">
        <Icon name="heart" />
        <p>You have not liked anything yet. Recommendations learn from your likes.</p>
      </div>
    )
  }
  return <RecordingList recordings={data} context="library" label="Liked recordings" />
}
