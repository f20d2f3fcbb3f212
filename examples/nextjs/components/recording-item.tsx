import Link from 'next/link'
import type { ReactNode } from 'react'
import { isSettled, type Features, type Recording } from '@/lib/soundscape/database'
import { duration, key, statusOf, tempo } from '@/lib/soundscape/words'
import type { Client } from '@/lib/supabase/browser'
import { Thumbnail } from './thumbnail'

export type Listed = Pick<Recording, 'id' | 'title' | 'status' | 'error_message' | 'duration' | 'is_public'> & {
  audio_features?: Pick<Features, 'waveform_path' | 'tempo_bpm' | 'key' | 'mode'> | null
}

/** What a list needs of a recording, and no more. */
export const LISTED =
  'id, title, status, error_message, duration, is_public, created_at, audio_features(waveform_path, tempo_bpm, key, mode)'

/** The recordings with these ids that the reader may see, in the order of the ids. */
export async function readListed(supabase: Client, ids: string[]): Promise<Listed[]> {
  if (ids.length === 0) return []
  const { data, error } = await supabase.from('audio_files').select(LISTED).in('id', ids)
  if (error) throw error
  const byId = new Map(data.map((row) => [row.id, row]))
  return ids.flatMap((id) => byId.get(id) ?? [])
}

/** A recording in a list: title, waveform, and the figures that help to choose. */
export function RecordingItem({ recording, note, children }: { recording: Listed; note?: string; children?: ReactNode }) {
  const features = recording.audio_features
  const isFailed = recording.status === 'failed' || recording.status === 'rejected'
  return (
    <div className="item">
      <div>
        <Link className="title" href={`/recordings/${recording.id}`} dir="auto">
          {recording.title}
        </Link>
        <span className="soft small">{note ?? (recording.is_public ? 'Public' : 'Private')}</span>
      </div>
      <div className="picture">
        {features ? (
          <Thumbnail path={features.waveform_path} title={recording.title} />
        ) : (
          <span
            className={`wave-empty ${isFailed ? 'bad' : ''} ${isSettled(recording.status) ? '' : 'pulse'}`}
            aria-live="polite"
          >
            {statusOf(recording)}
          </span>
        )}
      </div>
      <div className="row">
        <span className="facts">
          <span>{duration(recording.duration)}</span>
          <span>{tempo(features?.tempo_bpm)}</span>
          <span>{key(features?.key, features?.mode)}</span>
        </span>
        {children}
      </div>
    </div>
  )
}
