/** What changes while a page is open. A message only says that something changed; the query has the truth. */
import type { RealtimeChannel } from '@supabase/supabase-js'
import type { Client } from './database'

/** The tables whose rows a user's topic tells of. */
export type LiveTable = 'audio_files' | 'playlists' | 'playlist_items' | 'likes' | 'notifications'

/**
 * Call `onChange` with the table whose rows changed for this user, here or elsewhere, deletions included. Without a
 * table after each join and when the page comes back to the front, since what happened in between was not told.
 * Returns the function that ends it.
 */
export function watchLibrary(supabase: Client, userId: string, onChange: (table?: LiveTable) => void): () => void {
  const leave = join(supabase, `library:${userId}`, '*', (payload) => onChange((payload as { table: LiveTable }).table), onChange)
  const come = () => document.visibilityState === 'visible' && onChange()
  document.addEventListener('visibilitychange', come)
  return () => {
    document.removeEventListener('visibilitychange', come)
    leave()
  }
}

export interface Progress {
  stage: 'fetching' | 'analyzing' | 'storing'
  /** The share of the stage that is done, 0 to 1; 0 while it is not known. */
  progress: number
}

/** Call `onProgress` while a recording of the user is analysed. Returns the function that ends it. */
export function watchAnalysis(supabase: Client, audioId: string, onProgress: (progress: Progress) => void): () => void {
  return join(supabase, `recording:${audioId}`, 'progress', (payload) => onProgress(payload as Progress))
}

const leaving = new Map<string, Promise<unknown>>()

/** Join a private topic with the session's token. Returns the function that leaves it. */
function join(
  supabase: Client, topic: string, event: string, onMessage: (payload: unknown) => void, onJoined?: () => void,
): () => void {
  let channel: RealtimeChannel | null = null
  let isOver = false
  async function enter(): Promise<void> {
    await supabase.realtime.setAuth()
    // A channel that is being left would be taken for the new one.
    await leaving.get(topic)
    if (isOver) return
    channel = supabase.channel(topic, { config: { private: true } })
    channel.on('broadcast', { event }, ({ payload }) => onMessage(payload))
    channel.subscribe((state) => state === 'SUBSCRIBED' && onJoined?.())
  }
  void enter()
  return () => {
    isOver = true
    if (!channel) return
    const left = supabase.removeChannel(channel).finally(() => leaving.delete(topic))
    leaving.set(topic, left)
  }
}
