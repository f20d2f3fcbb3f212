'use client'

import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query'
import { useCallback, useEffect, useRef, useState, type KeyboardEvent, type PointerEvent } from 'react'
import type WaveSurfer from 'wavesurfer.js'
import type RegionsPlugin from 'wavesurfer.js/dist/plugins/regions.esm.js'
import { usePlayer, useSupabase } from '@/app/providers'
import { Icon } from '@/components/icons'
import { usePlayerState, usePlayerTime } from '@/components/player-bar'
import { Thumbnail } from '@/components/thumbnail'
import type { Context } from '@/lib/soundscape/player'
import { picturesOf, type RecordOfAnalysis, type SignedPaths } from '@/lib/soundscape/recording'
import { fetchWindow, signLevels } from '@/lib/soundscape/waveform'
import { duration } from '@/lib/soundscape/words'

/** More pixels than the widest card has, on a dense screen. */
const WIDTH_PX = 1600
const MAX_REGIONS = 250
const ADDRESSES_LIVE_MS = 12 * 60 * 1000

/** What draws waveforms. Until it is there, the bars of the row stand in their place, so that the page works first. */
async function loadDrawing() {
  await idle()
  const [{ default: WaveSurfer }, { default: Regions }] = await Promise.all([
    import('wavesurfer.js'), import('wavesurfer.js/dist/plugins/regions.esm.js'),
  ])
  return { WaveSurfer, Regions }
}
type Drawing = Awaited<ReturnType<typeof loadDrawing>>

/** Resolves when the browser has nothing else to do, a second later at most. Safari does not tell. */
function idle(): Promise<unknown> {
  return new Promise((resolve) => {
    if ('requestIdleCallback' in window) requestIdleCallback(resolve, { timeout: 1000 })
    else setTimeout(resolve, 200)
  })
}

interface Heard {
  label: string
  start_s: number
  end_s: number
}

interface Props {
  id: string
  title: string
  durationS: number
  peaks: number[] | null
  record: Pick<RecordOfAnalysis, 'waveform' | 'rhythm' | 'pictures'>
  tags: Heard[]
  /** What the server signed, so that the page need not ask again. */
  signed?: SignedPaths
  /** Where the reader chose one. */
  theme?: 'light' | 'dark' | undefined
  context?: Context
}

interface View {
  startS: number
  endS: number
}

/** The stored peaks, drawn before a byte of sound is fetched. Zooming fetches the window that is seen, and no more. */
export function RecordingPlayer({ id, title, durationS, peaks, record, tags, signed, theme, context = 'recording' }: Props) {
  const supabase = useSupabase()
  const player = usePlayer()
  const { track, isPlaying, problem } = usePlayerState()
  const isCurrent = track?.id === id
  const time = usePlayerTime()
  const nowS = isCurrent ? time : 0
  const whole = { startS: 0, endS: durationS }
  const [view, setView] = useState<View>(whole)
  const [shows, setShows] = useState({ beats: false, tags: true })
  const isZoomed = view.endS - view.startS < durationS * 0.999
  const shortestS = Math.min(durationS, 2)
  const beats = record.rhythm?.beats_s ?? []

  const queries = useQueryClient()
  const drawn = useQuery({
    queryKey: ['window', record.waveform.path, view.startS, view.endS],
    queryFn: async ({ signal }) => {
      const addresses = await queries.fetchQuery({
        queryKey: ['levels', record.waveform.path],
        queryFn: () => signLevels(supabase, record.waveform),
        staleTime: ADDRESSES_LIVE_MS,
        ...initialAddresses(signed, record.waveform.levels.map(({ path }) => path)),
      })
      const [channels, drawing] = await Promise.all([
        fetchWindow(addresses, record.waveform, view.startS, view.endS, WIDTH_PX, signal), loadDrawing(),
      ])
      return { view, channels, drawing }
    },
    // The same name is the same waveform.
    staleTime: Infinity,
    placeholderData: keepPreviousData,
  })

  const zoom = useCallback(
    (factor: number, middleS: number) => {
      setView(({ startS, endS }) => {
        const span = Math.min(durationS, Math.max(shortestS, (endS - startS) * factor))
        return placed(middleS - span / 2, span, durationS)
      })
    },
    [durationS, shortestS],
  )
  const pan = (share: number) => setView(({ startS, endS }) => placed(startS + (endS - startS) * share, endS - startS, durationS))
  const middleS = nowS > view.startS && nowS < view.endS ? nowS : (view.startS + view.endS) / 2

  // What plays stays in sight.
  useEffect(() => {
    if (!isCurrent || !isPlaying) return
    setView((present) => {
      const span = present.endS - present.startS
      if (nowS <= present.endS || nowS >= durationS) return present
      return placed(nowS, span, durationS)
    })
  }, [isCurrent, isPlaying, nowS, durationS])

  function toggle() {
    if (isCurrent) player.toggle()
    else void player.play([{ id, title, durationS }], 0, { context })
  }

  async function seek(seconds: number) {
    const target = Math.min(durationS, Math.max(0, seconds))
    if (!isCurrent) await player.play([{ id, title, durationS }], 0, { context })
    player.seek(target)
  }

  function press(event: KeyboardEvent) {
    const actions: Record<string, () => void> = {
      ArrowLeft: () => void seek(nowS - (event.shiftKey ? 60 : 5)),
      ArrowRight: () => void seek(nowS + (event.shiftKey ? 60 : 5)),
      Home: () => void seek(0),
      ' ': toggle,
      '+': () => zoom(0.5, middleS),
      '=': () => zoom(0.5, middleS),
      '-': () => zoom(2, middleS),
      '0': () => setView(whole),
    }
    const action = actions[event.key]
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    action()
  }

  return (
    <section className="player" aria-label={`Player of ${title}`}>
      <div className="card stage">
        {/* The position is also a slider, for whoever does not use a mouse. */}
        <div
          className="surface" role="slider" tabIndex={0} aria-label="Position" aria-valuemin={0} onKeyDown={press}
          aria-valuemax={Math.round(durationS)} aria-valuenow={Math.round(nowS)} aria-describedby="player-keys"
          aria-valuetext={`${duration(nowS)} of ${duration(durationS)}`}
        >
          {drawn.data ? (
            <Waveform
              key={`${drawn.data.view.startS}-${drawn.data.view.endS}`}
              drawing={drawn.data.drawing} channels={drawn.data.channels} view={drawn.data.view} nowS={nowS} onSeek={(seconds) => void seek(seconds)}
              beats={shows.beats ? beats : []} tags={shows.tags ? tags : []} durationS={durationS}
            />
          ) : drawn.isError ? (
            <p className="notice bad">The waveform could not be read: {drawn.error.message}</p>
          ) : (
            peaks && <Thumbnail peaks={peaks} title={title} />
          )}
        </div>
        <div className="row spread small soft time">
          <span>{duration(view.startS)}</span>
          <span>{duration(view.endS)}</span>
        </div>
        {isZoomed && peaks && <Overview peaks={peaks} title={title} view={view} durationS={durationS} onMove={setView} />}
        <Spectrogram
          record={record} view={view} isZoomed={isZoomed} title={title} nowS={isCurrent ? nowS : null} signed={signed} theme={theme}
        />
      </div>
      <div className="row spread">
        <div className="row">
          <button className="primary" onClick={toggle}>
            <Icon name={isCurrent && isPlaying ? 'pause' : 'play'} /> {isCurrent && isPlaying ? 'Pause' : 'Play'}
          </button>
          <span className="time">
            {duration(nowS)} / {duration(durationS)}
          </span>
          {problem && isCurrent && <span className="bad small" role="alert">{problem}</span>}
        </div>
        <div className="row">
          {beats.length > 0 && (
            <label className="check">
              <input type="checkbox" checked={shows.beats} onChange={() => setShows({ ...shows, beats: !shows.beats })} />
              Beats
            </label>
          )}
          {tags.length > 0 && (
            <label className="check">
              <input type="checkbox" checked={shows.tags} onChange={() => setShows({ ...shows, tags: !shows.tags })} />
              Tags
            </label>
          )}
          <div className="row tight" role="group" aria-label="Zoom">
            <button className="plain round" aria-label="Earlier" disabled={!isZoomed} onClick={() => pan(-0.5)}>
              <Icon name="left" />
            </button>
            <button className="round" aria-label="Zoom out" disabled={!isZoomed} onClick={() => zoom(2, middleS)}>
              <Icon name="zoomOut" />
            </button>
            <button
              className="round" aria-label="Zoom in" disabled={view.endS - view.startS <= shortestS}
              onClick={() => zoom(0.5, middleS)}
            >
              <Icon name="zoomIn" />
            </button>
            <button className="plain round" aria-label="Later" disabled={!isZoomed} onClick={() => pan(0.5)}>
              <Icon name="right" />
            </button>
            <button className="plain" disabled={!isZoomed} onClick={() => setView(whole)}>
              Whole
            </button>
          </div>
        </div>
      </div>
      <p id="player-keys" className="visually-hidden">
        Arrow keys seek, Space plays, plus and minus zoom, 0 shows the whole.
      </p>
    </section>
  )
}

/** When this browser got what the server signed, by its own clock: the server's may differ. */
const arrivals = new WeakMap<SignedPaths, number>()

/** The first data of a query for these addresses, where the server signed all of them. */
function initialAddresses(signed: SignedPaths | undefined, paths: string[]) {
  if (!signed || !paths.every((path) => signed[path])) return {}
  // Next keeps a page for the Back button. An hour later its addresses are as old as the page, not as this visit.
  const arrivedAt = arrivals.get(signed) ?? Date.now()
  arrivals.set(signed, arrivedAt)
  return { initialData: () => new Map(Object.entries(signed)), initialDataUpdatedAt: arrivedAt }
}

/** A window of this span that begins near `startS`, within the recording. */
function placed(startS: number, spanS: number, durationS: number): View {
  const start = Math.min(Math.max(0, startS), durationS - spanS)
  return { startS: start, endS: start + spanS }
}

function Waveform({ drawing, channels, view, durationS, nowS, beats, tags, onSeek }: {
  drawing: Drawing
  channels: number[][]
  view: View
  durationS: number
  nowS: number
  beats: number[]
  tags: Heard[]
  onSeek: (seconds: number) => void
}) {
  const place = useRef<HTMLDivElement>(null)
  const surfer = useRef<WaveSurfer | null>(null)
  const regions = useRef<ReturnType<typeof RegionsPlugin.create> | null>(null)
  const seek = useRef(onSeek)
  seek.current = onSeek
  const span = view.endS - view.startS
  const [isReady, setReady] = useState(false)

  useEffect(() => {
    if (!place.current) return
    const style = getComputedStyle(place.current)
    const plugin = drawing.Regions.create()
    const made = drawing.WaveSurfer.create({
      container: place.current,
      peaks: channels,
      duration: span,
      height: 144,
      normalize: true,
      waveColor: style.getPropertyValue('--wave'),
      progressColor: style.getPropertyValue('--played'),
      cursorColor: style.getPropertyValue('--ink'),
      cursorWidth: 2,
      plugins: [plugin],
    })
    surfer.current = made
    regions.current = plugin
    made.on('ready', () => setReady(true))
    made.on('interaction', (seconds) => seek.current(view.startS + seconds))
    return () => {
      surfer.current = null
      regions.current = null
      made.destroy()
    }
  }, [drawing, channels, span, view.startS])

  useEffect(() => {
    if (isReady) surfer.current?.setTime(Math.min(span, Math.max(0, nowS - view.startS)))
  }, [isReady, nowS, view.startS, span])

  useEffect(() => {
    const plugin = regions.current
    if (!isReady || !plugin) return
    plugin.clearRegions()
    const fixed = { drag: false, resize: false } as const
    for (const { label, start_s, end_s } of tags) {
      // A tag that covers the whole would only be a grey sheet.
      if (end_s <= view.startS || start_s >= view.endS || end_s - start_s > durationS * 0.95) continue
      const [start, end] = [Math.max(0, start_s - view.startS), Math.min(span, end_s - view.startS)]
      plugin.addRegion({ start, end, content: label, color: 'rgb(127 127 127 / 0.16)', ...fixed })
    }
    const seen = beats.filter((beat) => beat >= view.startS && beat < view.endS)
    if (seen.length > MAX_REGIONS) return
    for (const beat of seen) plugin.addRegion({ start: beat - view.startS, color: 'rgb(214 120 20 / 0.8)', ...fixed })
  }, [isReady, beats, tags, view, span, durationS])

  return <div ref={place} data-testid="waveform" />
}

/** The whole, with the window that is seen. Drag it, or click where it shall be. */
function Overview({ peaks, title, view, durationS, onMove }: {
  peaks: number[]
  title: string
  view: View
  durationS: number
  onMove: (view: View) => void
}) {
  const span = view.endS - view.startS
  function move(event: PointerEvent<HTMLDivElement>) {
    if (event.type === 'pointermove' && event.buttons === 0) return
    const box = event.currentTarget.getBoundingClientRect()
    event.currentTarget.setPointerCapture(event.pointerId)
    onMove(placed(((event.clientX - box.left) / box.width) * durationS - span / 2, span, durationS))
  }
  return (
    <div className="overview" onPointerDown={move} onPointerMove={move}>
      <Thumbnail peaks={peaks} title={`${title}, the whole`} />
      <div className="window" style={{ left: `${(view.startS / durationS) * 100}%`, width: `${(span / durationS) * 100}%` }} />
    </div>
  )
}

/** The picture of the whole, or in a window the tiles that it covers. */
function Spectrogram({ record, view, isZoomed, title, nowS, signed, theme }: {
  record: Props['record']
  view: View
  isZoomed: boolean
  title: string
  nowS: number | null
  signed: SignedPaths | undefined
  theme: Props['theme']
}) {
  const supabase = useSupabase()
  const { spectrogram, spectrogram_dark, thumbnail, spectrogram_tiles: tiles } = record.pictures
  const span = view.endS - view.startS
  const tileS = tiles ? tiles.width_px * tiles.seconds_per_pixel : 0
  const first = tiles ? Math.floor(view.startS / tileS) : 0
  const seen = tiles && isZoomed ? tiles.paths.slice(first, Math.ceil(view.endS / tileS)) : []
  // Zoomed out a little, a six-hour file has two hundred tiles: the picture of the whole tells more.
  const isTiled = seen.length > 0 && seen.length <= 12
  const paths = isTiled ? seen : [spectrogram, spectrogram_dark, thumbnail].filter((path) => path != null)
  const { data: addresses } = useQuery({
    queryKey: ['pictures', ...paths],
    queryFn: () => picturesOf(supabase, paths),
    enabled: Boolean(spectrogram),
    staleTime: ADDRESSES_LIVE_MS,
    placeholderData: keepPreviousData,
    // Before they end, so that the link below leads somewhere however long the page is open.
    refetchInterval: ADDRESSES_LIVE_MS,
    ...initialAddresses(signed, paths),
  })
  if (!spectrogram || !spectrogram_dark) return null
  if (isTiled) {
    return (
      <div className="strip" role="img" aria-label={`Spectrogram of ${title} from ${duration(view.startS)} to ${duration(view.endS)}`}>
        {seen.map((path, i) => (
          <Tile key={path} address={addresses?.get(path)} startS={(first + i) * tileS} view={view} secondsPerPixel={tiles!.seconds_per_pixel} />
        ))}
        {nowS !== null && nowS >= view.startS && nowS <= view.endS && (
          <span className="now" style={{ left: `${((nowS - view.startS) / span) * 100}%` }} />
        )}
      </div>
    )
  }
  const addressOf = (path: string | null) => (path === null ? undefined : addresses?.get(path))
  const [light, dark, small] = [addressOf(spectrogram), addressOf(spectrogram_dark), addressOf(thumbnail)]
  if (!light || !dark) return <figure className="spectrogram" />
  return (
    <figure className="spectrogram">
      {/* One picture is fetched, of the theme. A phone could not show the axes: it gets 6 kB without them, and a link. */}
      <picture>
        {small && <source media="(max-width: 50rem)" srcSet={small} />}
        {!theme && <source media="(prefers-color-scheme: dark)" srcSet={dark} />}
        {/* eslint-disable-next-line @next/next/no-img-element -- a short-lived address is not to be cached by Next */}
        <img src={theme === 'dark' ? dark : light} width={1600} height={480} alt={`Spectrogram of ${title}`} />
      </picture>
      {small && <figcaption><a href={theme === 'light' ? light : dark} target="_blank">Spectrogram with axes</a></figcaption>}
    </figure>
  )
}

function Tile({ address, startS, view, secondsPerPixel }: {
  address: string | undefined
  startS: number
  view: View
  secondsPerPixel: number
}) {
  const [widthPx, setWidth] = useState<number | null>(null)
  if (!address) return null
  const span = view.endS - view.startS
  return (
    <img
      src={address} alt="" onLoad={(event) => setWidth(event.currentTarget.naturalWidth)}
      style={{
        left: `${((startS - view.startS) / span) * 100}%`,
        // The last tile may be narrower: its own width says so.
        width: widthPx === null ? 0 : `${((widthPx * secondsPerPixel) / span) * 100}%`,
      }}
    />
  )
}
