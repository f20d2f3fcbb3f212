'use client'

import { useEffect, useState } from 'react'
import { useSupabase } from '@/app/providers'
import type { Recording } from '@/lib/soundscape/database'
import { watchAnalysis, type Progress } from '@/lib/soundscape/live'
import { statusOf } from '@/lib/soundscape/words'

const STAGES: Record<Progress['stage'], string> = {
  fetching: 'Fetching the file',
  analyzing: 'Listening',
  storing: 'Storing the results',
}

/** How far the analysis of a recording is, live. */
export function AnalysisProgress({ recording }: { recording: Pick<Recording, 'id' | 'title' | 'status' | 'error_message'> }) {
  const { id, title, status } = recording
  const supabase = useSupabase()
  const [progress, setProgress] = useState<Progress | null>(null)
  const isRunning = status === 'queued' || status === 'analyzing'
  useEffect(() => {
    if (isRunning) return watchAnalysis(supabase, id, setProgress)
  }, [supabase, id, isRunning])
  return (
    <>
      <span>
        {isRunning && progress ? `${STAGES[progress.stage]}, ${Math.round(progress.progress * 100)} %` : statusOf(recording)}
      </span>
      {isRunning && (
        <progress
          aria-label={`Analysis of ${title}`}
          {...(progress && progress.progress > 0 ? { value: progress.progress, max: 1 } : {})}
        />
      )}
    </>
  )
}
