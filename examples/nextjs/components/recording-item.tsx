'use client'

import type { ReactNode } from 'react'
import { usePlayer } from '@/app/providers'
import type { Listed } from '@/lib/soundscape/listed'
import { isSettled } from '@/lib/soundscape/database'
import type { Context, Track } from '@/lib/soundscape/player'
import { duration, key, statusOf, tempo } from '@/lib/soundscape/words'
import { Icon } from './icons'
import { Link } from './link'
import { usePlayerState } from './player-bar'
import { Thumbnail } from './thumbnail'

interface Props {
  recording: Listed
  /** Instead of whether it is public. */
  note?: string
  /** What plays when this one is played, and where the reader found it. */
  queue?: readonly Listed[]
  context?: Context
  more?: (played: readonly Track[]) => Promise<Track[]>
  /** How far its analysis is, while it runs. */
  progress?: ReactNode
  titleProps?: { tabIndex?: number; 'data-index'?: number }
  children?: ReactNode
}

export function trackOf({ id, title, duration }: Listed): Track {
  return { id, title, durationS: duration }
}

/** A recording in a list: play, title, waveform, and the figures that help to choose. */
export function RecordingItem({ recording, note, queue, context = 'library', more, progress, titleProps, children }: Props) {
  const player = usePlayer()
  const { track, isPlaying } = usePlayerState()
  const features = recording.audio_features
  const isFailed = recording.status === 'failed' || recording.status === 'rejected'
  const isCurrent = track?.id === recording.id

  function play() {
    if (isCurrent) return player.toggle()
    const ready = (queue ?? [recording]).filter(({ status }) => status === 'ready')
    const place = Math.max(0, ready.findIndex(({ id }) => id === recording.id))
    void player.play(ready.map(trackOf), place, { context, ...(more ? { more } : {}) })
  }

  return (
    <div className="item" data-playing={isCurrent}>
      <button
        className="round" disabled={recording.status !== 'ready'} onClick={play} tabIndex={titleProps?.tabIndex}
        aria-label={`${isCurrent && isPlaying ? 'Pause' : 'Play'} ${recording.title}`}
      >
        <Icon name={isCurrent && isPlaying ? 'pause' : 'play'} />
      </button>
      <div style={{ minWidth: 0 }}>
        <Link className="title" href={`/recordings/${recording.id}`} dir="auto" title={recording.title} {...titleProps}>
          {recording.title}
        </Link>
        <span className="under" title={note}>{note ?? (recording.is_public ? 'Public' : 'Private')}</span>
      </div>
      <div className="picture">
        {recording.peaks && recording.status === 'ready' ? (
          <Thumbnail peaks={recording.peaks} title={recording.title} />
        ) : isSettled(recording.status) || !progress ? (
          <span className={`wave-empty ${isFailed ? 'bad' : ''}`}>{statusOf(recording)}</span>
        ) : (
          <span className="wave-empty">{progress}</span>
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
