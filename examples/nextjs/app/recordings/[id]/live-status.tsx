'use client'

import { useQuery } from '@tanstack/react-query'
import { useRouter } from 'next/navigation'
import { useEffect } from 'react'
import { useSupabase } from '@/app/providers'
import { AnalysisProgress } from '@/components/analysis-progress'
import type { Recording } from '@/lib/soundscape/database'

type Shown = Pick<Recording, 'id' | 'title' | 'status' | 'error_message'>

/** How far the analysis is. When it ends, the page is made anew. */
export function LiveStatus({ recording }: { recording: Shown }) {
  const supabase = useSupabase()
  const router = useRouter()
  const { data } = useQuery({
    // What begins with "library" is read again when the project tells of a change.
    queryKey: ['library', 'status', recording.id],
    queryFn: async () => {
      const { data, error } = await supabase
        .from('audio_files').select('id, title, status, error_message').eq('id', recording.id).maybeSingle()
      if (error) throw error
      return data
    },
    initialData: recording,
    initialDataUpdatedAt: 0,
  })
  useEffect(() => {
    if (data?.status !== recording.status) router.refresh()
  }, [router, data?.status, recording.status])
  return <div className="card stack"><AnalysisProgress recording={data ?? recording} /></div>
}
