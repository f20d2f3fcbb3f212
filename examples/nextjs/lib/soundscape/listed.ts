/** Recordings as lists show them: one query draws a whole list. */
import type { Client, Features, Recording } from './database'

export type Listed = Pick<Recording, 'id' | 'title' | 'status' | 'error_message' | 'duration' | 'is_public' | 'peaks'> & {
  audio_features?: Pick<Features, 'tempo_bpm' | 'key' | 'mode'> | null
}

/** What a list needs of a recording, and no more. */
export const LISTED =
  'id, title, status, error_message, duration, is_public, created_at, peaks, audio_features(tempo_bpm, key, mode)'

/** The recordings with these ids that the caller may see, in the order of the ids. */
export async function readListed(supabase: Client, ids: readonly string[]): Promise<Listed[]> {
  if (ids.length === 0) return []
  const { data, error } = await supabase.from('audio_files').select(LISTED).in('id', ids)
  if (error) throw error
  const byId = new Map(data.map((row) => [row.id, row as Listed]))
  return ids.flatMap((id) => byId.get(id) ?? [])
}
