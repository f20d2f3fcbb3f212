/** The database's types, as the project generates them. */
import type { Database } from '../../../../supabase/database.types'

export type { Database }
export type Recording = Database['public']['Tables']['audio_files']['Row']
export type Features = Database['public']['Tables']['audio_features']['Row']
export type Tag = Database['public']['Tables']['audio_tags']['Row']
export type Playlist = Database['public']['Tables']['playlists']['Row']

/** `audio_files.status`. */
export type Status = 'awaiting_upload' | 'queued' | 'analyzing' | 'ready' | 'failed' | 'rejected'

export function isSettled(status: string): boolean {
  return status === 'ready' || status === 'failed' || status === 'rejected'
}
