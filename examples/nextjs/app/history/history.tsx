'use client'

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useSyncExternalStore } from 'react'
import { usePlayer, useSupabase, useUserId } from '@/app/providers'
import { Icon } from '@/components/icons'
import { usePlayerTime } from '@/components/player-bar'
import { RecordingItem } from '@/components/recording-item'
import { LISTED, readListed, type Listed } from '@/lib/soundscape/listed'
import { ago, duration } from '@/lib/soundscape/words'

/** What the reader heard. Nobody else sees it, and it can be erased. */
export function History() {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const userId = useUserId()
  const { data, error, isPending } = useQuery({
    queryKey: ['history', userId],
    queryFn: async () => {
      const { data, error } = await supabase
        .from('listening_events')
        .select(`id, started_at, listened_s, completed, audio_files(${LISTED})`)
        .order('started_at', { ascending: false })
        .limit(100)
      if (error) throw error
      return data.flatMap(({ audio_files, ...event }) => (audio_files ? [{ ...event, recording: audio_files as Listed }] : []))
    },
  })
  const player = usePlayer()
  const isListening = useSyncExternalStore(player.subscribeTime, () => player.getListening() !== null, () => false)
  const erase = useMutation({
    mutationFn: async () => {
      const { error } = await supabase.from('listening_events').delete().eq('user_id', userId ?? '')
      if (error) throw error
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: ['history'] }),
  })
  if (error) return <p className="notice bad" role="alert">Your history could not be read: {error.message}</p>
  if (isPending) return <p className="soft">Loading …</p>
  if (data.length === 0 && !isListening) {
    return (
      <div className="empty">
        <Icon name="play" />
        <p>You have not listened to anything yet.</p>
      </div>
    )
  }
  return (
    <>
      <div className="row spread" style={{ marginBottom: '0.75rem' }}>
        <span className="soft">Only you see this.</span>
        <button className="plain bad" onClick={() => confirm('Delete your whole listening history? This cannot be undone.') && erase.mutate()}>
          Delete the history
        </button>
      </div>
      {erase.isError && <p className="notice bad" role="alert">{erase.error.message}</p>}
      <ul className="list" aria-label="Heard">
        {isListening && <Now />}
        {data.map(({ id, started_at, listened_s, completed, recording }) => (
          <li key={id}>
            <RecordingItem
              recording={recording}
              note={`${ago(started_at)} · ${completed ? 'to the end' : duration(listened_s)}`}
            />
          </li>
        ))}
      </ul>
    </>
  )
}

/** The sound that is on. The backend learns of it when it ends, or when another one or another page follows. */
function Now() {
  const supabase = useSupabase()
  const player = usePlayer()
  // Counts with the clock.
  usePlayerTime()
  const listening = player.getListening()
  const id = listening?.track.id
  const { data: recording } = useQuery({
    queryKey: ['listening', id],
    enabled: id !== undefined,
    queryFn: async () => (await readListed(supabase, [id!]))[0] ?? null,
  })
  if (!listening || !recording) return null
  return (
    <li>
      <RecordingItem recording={recording} note={`Now · ${duration(listening.heardS)}`} />
    </li>
  )
}
