'use client'

import { usePathname } from 'next/navigation'
import { useSyncExternalStore } from 'react'
import { usePlayer, useUserId } from '@/app/providers'
import { duration } from '@/lib/soundscape/words'
import { Icon } from './icons'
import { Link } from './link'

export function usePlayerState() {
  const player = usePlayer()
  return useSyncExternalStore(player.subscribe, player.getSnapshot, player.getServerSnapshot)
}

export function usePlayerTime(): number {
  const player = usePlayer()
  return useSyncExternalStore(player.subscribeTime, player.getTime, () => 0)
}

/** What plays, below every page. */
export function PlayerBar() {
  const player = usePlayer()
  const isMember = useUserId() !== null
  const { track, isPlaying, queue, place, problem } = usePlayerState()
  const isEmbedded = usePathname().startsWith('/embed/')
  if (!track || isEmbedded) return null
  return (
    <section className={`bar ${isMember ? '' : 'alone'}`} aria-label="Now playing">
      <div>
        <div className="row tight" style={{ flexWrap: 'nowrap' }}>
          <button className="plain round" aria-label="Previous" onClick={() => player.previous()}>
            <Icon name="previous" />
          </button>
          <button className="primary round" aria-label={isPlaying ? 'Pause' : 'Play on'} onClick={() => player.toggle()}>
            <Icon name={isPlaying ? 'pause' : 'play'} />
          </button>
          <button className="plain round" aria-label="Next" disabled={place >= queue.length - 1} onClick={() => player.next()}>
            <Icon name="next" />
          </button>
        </div>
        <div>
          <Link className="title" href={`/recordings/${track.id}`} dir="auto">
            {track.title}
          </Link>
          {problem ? (
            <span className="small bad" role="alert">{problem}</span>
          ) : (
            <span className="small soft">{queue.length > 1 ? `${place + 1} of ${queue.length}` : 'Now playing'}</span>
          )}
        </div>
        <Seek durationS={track.durationS} title={track.title} />
        <button className="plain round" aria-label="Stop playing" onClick={() => player.stop()}>
          <Icon name="close" />
        </button>
      </div>
    </section>
  )
}

function Seek({ durationS, title }: { durationS: number | null; title: string }) {
  const player = usePlayer()
  const nowS = usePlayerTime()
  return (
    <div className="row seek" style={{ flexWrap: 'nowrap' }}>
      <span className="time small soft">{duration(nowS)}</span>
      <input
        type="range" min={0} max={durationS ?? 0} step={1} value={Math.min(nowS, durationS ?? 0)}
        aria-label={`Position in ${title}`} aria-valuetext={`${duration(nowS)} of ${duration(durationS)}`}
        onChange={(event) => player.seek(Number(event.target.value))}
      />
      <span className="time small soft">{duration(durationS)}</span>
    </div>
  )
}
