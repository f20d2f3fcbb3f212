/** The database's types, as the project generates them. */
import type { SupabaseClient } from '@supabase/supabase-js'
import type { Database } from '../../../../supabase/database.types'

export type { Database }
/** A client of supabase-js for this project, in a browser or on a server. */
export type Client = SupabaseClient<Database>
export type Recording = Database['public']['Tables']['audio_files']['Row']
export type Features = Database['public']['Tables']['audio_features']['Row']
export type Tag = Database['public']['Tables']['audio_tags']['Row']
export type Playlist = Database['public']['Tables']['playlists']['Row']
export type Notification = Database['public']['Tables']['notifications']['Row']
export type Match = Database['public']['Tables']['audio_matches']['Row']

/** A work that a recording was made from. */
export type Source = Recording['sources'][number]
export type Licence = NonNullable<Recording['license']>
export type Theme = Database['public']['Tables']['user_preferences']['Row']['theme']
export type ReportReason = Database['public']['Tables']['reports']['Row']['reason']

/** Where a project is, and the key that browsers may have. */
export interface Project {
  url: string
  publishableKey: string
}

/** `audio_files.status`. */
export type Status = 'awaiting_upload' | 'queued' | 'analyzing' | 'ready' | 'failed' | 'rejected'

export function isSettled(status: string): boolean {
  return status === 'ready' || status === 'failed' || status === 'rejected'
}

/** Whether a query failed because an address held something that is no id: then nothing is there. */
export function isNoId({ code }: { code: string }): boolean {
  return code === '22P02'
}
