/** Radio: recordings like one, which go on as long as somebody listens. */
import type { Client } from './database'
import type { Track } from './player'

const BATCH = 5

/** A function that returns what comes next after what was played. It repeats nothing. */
export function radioFrom(supabase: Client, audioId: string) {
  return async (played: readonly Track[]): Promise<Track[]> => {
    const { data, error } = await supabase.rpc('radio', {
      audio_id: audioId,
      played: played.map(({ id }) => id),
      limit: BATCH,
    })
    if (error) throw error
    return data.map(({ recording }) => ({ id: recording.id, title: recording.title, durationS: recording.duration }))
  }
}
