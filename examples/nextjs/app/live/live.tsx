'use client'

import { useMutation } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { useSupabase } from '@/app/providers'
import { Icon } from '@/components/icons'
import { Link } from '@/components/link'
import { listen, type Answer, type Feature, type Listening, type Way } from '@/lib/soundscape/live-listening'
import { duration, NOT_KNOWN } from '@/lib/soundscape/words'
import { workerUrl } from '@/lib/supabase/settings'

const FEATURES: Feature[] = ['levels', 'spectrum', 'pitch', 'tempo', 'key', 'tags', 'match']
const FLOOR_DB = -90

/** The latest answer of each kind. */
type Latest = { [Kind in Answer['type']]?: Extract<Answer, { type: Kind }> }

/** What a microphone or a file sounds like at this moment. */
export function Live() {
  const supabase = useSupabase()
  const running = useRef<Listening | null>(null)
  const canvas = useRef<HTMLCanvasElement>(null)
  const [latest, setLatest] = useState<Latest>({})
  const [way, setWay] = useState<Way>('samples')
  const [isKept, setKept] = useState(false)
  const session = useMutation({
    mutationFn: async (file?: File) => {
      setLatest({})
      const title = isKept ? `Live, ${new Date().toLocaleString()}` : undefined
      running.current = await listen(supabase, workerUrl, { features: FEATURES, way, title, file }, (answer) => {
        setLatest((before) => ({ ...before, [answer.type]: answer }))
        if (answer.type === 'spectrum') draw(canvas.current, answer.bands_db)
      })
      await running.current.ended
    },
    onSettled: () => {
      running.current = null
    },
  })
  useEffect(() => () => running.current?.stop(), [])
  const { levels, pitch, tempo, key, tags, match, saved, stopped } = latest
  const readings = [
    ['Loudness', numberOf(levels?.momentary_lufs, 1, 'LUFS')],
    ['True peak', numberOf(levels?.true_peak_dbtp, 1, 'dBTP')],
    ['Pitch', numberOf(pitch?.frequency_hz, 0, 'Hz')],
    ['Tempo', numberOf(tempo?.tempo_bpm, 0, 'BPM')],
    ['Key', key?.key ? `${key.key} ${key.mode}` : NOT_KNOWN],
    ['Heard', tags?.tags.map(({ label }) => label).join(', ') || NOT_KNOWN],
  ]

  return (
    <div className="stack">
      <p className="lead">
        Loudness, pitch, tempo, key and tags of a sound while it plays. It is saved only if you choose to keep it.
      </p>
      <div className="row">
        <button
          className="primary" aria-pressed={session.isPending}
          onClick={() => (session.isPending ? running.current?.stop() : session.mutate(undefined))}
        >
          <Icon name="identify" /> {session.isPending ? 'Stop' : 'Use the microphone'}
        </button>
        <label className="button">
          Play a file as if live
          <input
            type="file" accept="audio/*" className="visually-hidden" disabled={session.isPending}
            onChange={(event) => event.target.files?.[0] && session.mutate(event.target.files[0])}
          />
        </label>
        <label className="check">
          <input type="checkbox" checked={isKept} disabled={session.isPending} onChange={(event) => setKept(event.target.checked)} />
          Keep this recording
        </label>
        <label className="check">
          Send as
          <select value={way} style={{ width: 'auto' }} disabled={session.isPending} onChange={(event) => setWay(event.target.value as Way)}>
            <option value="samples">Samples</option>
            <option value="recorder">Opus</option>
          </select>
        </label>
      </div>
      <div className="card">
        <canvas
          ref={canvas} width={1040} height={160} role="img" aria-label="Spectrum"
          style={{ display: 'block', width: '100%', height: 160, color: 'var(--wave)' }}
        />
      </div>
      <dl className="figures" aria-label="Readings">
        {readings.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {match && match.matches.length > 0 && (
        <ul className="list" aria-label="Playing">
          {match.matches.map((found) => (
            <li key={found.audio_id} className="sending">
              <Link href={`/recordings/${found.audio_id}`} dir="auto">{found.title}</Link>{' '}
              <span className="small soft">from {duration(Math.max(0, found.offset_s))} on</span>
            </li>
          ))}
        </ul>
      )}
      <div role="status">
        {session.error && <p className="notice bad">{problemOf(session.error)}</p>}
        {latest.error && <p className="notice bad">{latest.error.message}</p>}
        {latest.warning && <p className="notice">{latest.warning.message}</p>}
        {stopped && <p className="soft">{duration(stopped.duration_s)} were heard.</p>}
        {saved && <p className="notice">Kept: <Link href={`/recordings/${saved.audio_id}`}>open the recording</Link></p>}
      </div>
    </div>
  )
}

function draw(canvas: HTMLCanvasElement | null, bandsDb: number[]): void {
  const context = canvas?.getContext('2d')
  if (!canvas || !context) return
  context.clearRect(0, 0, canvas.width, canvas.height)
  context.fillStyle = getComputedStyle(canvas).color
  const width = canvas.width / bandsDb.length
  bandsDb.forEach((level, band) => {
    const height = canvas.height * Math.max(0, 1 - level / FLOOR_DB)
    context.fillRect(band * width, canvas.height - height, Math.max(1, width - 1), height)
  })
}

function numberOf(value: number | null | undefined, digits: number, unit: string): string {
  return value == null ? NOT_KNOWN : `${value.toFixed(digits).replace('-', '−')} ${unit}`
}

function problemOf(error: Error): string {
  if (error.name === 'NotAllowedError') return 'The browser may not use the microphone. Allow it, or choose a file.'
  if (error.name === 'NotFoundError') return 'There is no microphone. Choose a file instead.'
  return error.message
}
