'use client'

import type { Listed } from '@/lib/soundscape/listed'
import type { Context } from '@/lib/soundscape/player'
import { RecordingItem } from './recording-item'

/** A short list of recordings that play one after another. */
export function RecordingList({ recordings, context, label, noteOf }: {
  recordings: readonly Listed[]
  context: Context
  label: string
  noteOf?: (recording: Listed) => string
}) {
  return (
    <ul className="list" aria-label={label}>
      {recordings.map((recording) => (
        <li key={recording.id}>
          <RecordingItem
            recording={recording} queue={recordings} context={context}
            {...(noteOf ? { note: noteOf(recording) } : {})}
          />
        </li>
      ))}
    </ul>
  )
}
