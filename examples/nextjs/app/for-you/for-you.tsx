'use client'

import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useSupabase } from '@/app/providers'
import { RecordingItem } from '@/components/recording-item'

/** Recommendations, each with its reason, and mixes by mood. */
export function ForYou() {
  const supabase = useSupabase()
  const [mood, setMood] = useState<string | null>(null)
  const moods = useQuery({
    queryKey: ['moods'],
    queryFn: async () => {
      const { data, error } = await supabase.from('mood_rules').select('mood')
      if (error) throw error
      return [...new Set(data.map((row) => row.mood))].sort()
    },
  })
  const mix = useQuery({
    queryKey: ['mix', mood],
    queryFn: async () => {
      if (mood) {
        const { data, error } = await supabase.rpc('mood_mix', { mood, limit: 20 })
        if (error) throw error
        return data.map((row) => ({ recording: row.recording, note: row.because.join(', ') }))
      }
      const { data, error } = await supabase.rpc('recommended_audio', { limit: 20 })
      if (error) throw error
      return data.map((row) => ({ recording: row.recording, note: row.because ?? row.reason }))
    },
  })
  return (
    <>
      <div className="row" role="group" aria-label="Mood" style={{ marginBottom: '1rem' }}>
        <button aria-pressed={mood === null} className="chip" onClick={() => setMood(null)}>
          Recommended
        </button>
        {moods.data?.map((name) => (
          <button key={name} aria-pressed={mood === name} className="chip" onClick={() => setMood(name)}>
            {name}
          </button>
        ))}
      </div>
      {mix.isError ? (
        <p className="notice bad">{mix.error.message}</p>
      ) : mix.isPending ? (
        <p className="soft pulse">Choosing …</p>
      ) : mix.data.length === 0 ? (
        <p className="soft">Nothing fits yet. Like or listen to a few recordings first.</p>
      ) : (
        <ul className="list">
          {mix.data.map(({ recording, note }) => (
            <li key={recording.id}>
              <RecordingItem recording={recording} note={note} />
            </li>
          ))}
        </ul>
      )}
    </>
  )
}
