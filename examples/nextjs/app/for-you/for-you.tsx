'use client'

import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useSupabase } from '@/app/providers'
import { Icon } from '@/components/icons'
import { RecordingList } from '@/components/recording-list'
import { readListed } from '@/lib/soundscape/listed'

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
      const notes = new Map<string, string>()
      if (mood) {
        const { data, error } = await supabase.rpc('mood_mix', { mood, limit: 20 })
        if (error) throw error
        for (const row of data) notes.set(row.id, row.because.join(', '))
      } else {
        const { data, error } = await supabase.rpc('recommended_audio', { limit: 20 })
        if (error) throw error
        for (const row of data) notes.set(row.id, row.because ?? row.reason)
      }
      return { notes, recordings: await readListed(supabase, [...notes.keys()]) }
    },
  })
  return (
    <>
      <div className="row" role="group" aria-label="Mood" style={{ marginBottom: '1.5rem', gap: '0.5rem' }}>
        <button aria-pressed={mood === null} className="chip" onClick={() => setMood(null)}>
          Recommended
        </button>
        {moods.data?.map((name) => (
          <button key={name} aria-pressed={mood === name} className="chip" onClick={() => setMood(name)}>
            {name[0]?.toUpperCase()}{name.slice(1)}
          </button>
        ))}
      </div>
      {mix.isError ? (
        <p className="notice bad" role="alert">The recommendations could not be loaded: {mix.error.message}</p>
      ) : mix.isPending ? (
        <p className="soft">Loading …</p>
      ) : mix.data.recordings.length === 0 ? (
        <div className="empty">
          <Icon name="forYou" />
          <p>Nothing fits yet. Like a few recordings, or listen to some.</p>
        </div>
      ) : (
        <RecordingList
          recordings={mix.data.recordings} context="recommended" label={mood ? `${mood} mix` : 'Recommended'}
          noteOf={({ id }) => mix.data.notes.get(id) ?? ''}
        />
      )}
    </>
  )
}
