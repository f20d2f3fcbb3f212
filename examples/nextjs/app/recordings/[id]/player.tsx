'use client'

import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import WaveSurfer from 'wavesurfer.js'
import RegionsPlugin from 'wavesurfer.js/dist/plugins/regions.esm.js'
import { useSupabase } from '@/app/providers'
import { addressOf, picturesOf } from '@/lib/soundscape/recording'
import { channelsOf, fetchWaveform } from '@/lib/soundscape/waveform'
import { duration } from '@/lib/soundscape/words'

interface Heard {
  label: string
  start_s: number
  end_s: number
}

interface Props {
  id: string
  filePath: string
  waveformPath: string
  title: string
  durationS: number
  tags: Heard[]
}

/** The stored peaks, drawn before a byte of sound is fetched; the sound plays from a short-lived address. */
export function Player({ id, filePath, waveformPath, title, durationS, tags }: Props) {
  const supabase = useSupabase()
  const place = useRef<HTMLDivElement>(null)
  const surfer = useRef<WaveSurfer | null>(null)
  const [isPlaying, setPlaying] = useState(false)
  const [nowS, setNow] = useState(0)
  const { data, isError } = useQuery({
    queryKey: ['player', id, waveformPath],
    staleTime: 10 * 60 * 1000,
    queryFn: async () => ({
      url: await addressOf(supabase, filePath),
      peaks: channelsOf(await fetchWaveform(supabase, waveformPath)),
      pictures: await picturesOf(supabase, waveformPath),
    }),
  })

  useEffect(() => {
    if (!data || !place.current) return
    const style = getComputedStyle(document.documentElement)
    const media = new Audio()
    media.preload = 'none'
    if (data.url) media.src = data.url
    const regions = RegionsPlugin.create()
    const made = WaveSurfer.create({
      container: place.current,
      media,
      peaks: data.peaks,
      duration: durationS,
      height: 128,
      normalize: true,
      waveColor: style.getPropertyValue('--wave'),
      progressColor: style.getPropertyValue('--played'),
      plugins: [regions],
    })
    surfer.current = made
    made.on('play', () => setPlaying(true))
    made.on('pause', () => setPlaying(false))
    made.on('timeupdate', setNow)
    made.on('ready', () => {
      for (const { label, start_s, end_s } of tags.slice(0, 6)) {
        if (end_s - start_s < durationS * 0.95) {
          regions.addRegion({ start: start_s, end: end_s, content: label, drag: false, resize: false, color: 'rgb(127 127 127 / 0.12)' })
        }
      }
    })
    return () => {
      surfer.current = null
      made.destroy()
    }
  }, [data, durationS, tags])

  return (
    <section className="player" aria-label={`Player of ${title}`}>
      <div className="card">
        <div ref={place} style={{ minHeight: 128 }} />
        {isError && <p className="notice bad">The waveform could not be read.</p>}
      </div>
      <div className="row">
        <button className="primary" disabled={!data?.url} onClick={() => void surfer.current?.playPause()}>
          {isPlaying ? 'Pause' : 'Play'}
        </button>
        <span aria-live="off" style={{ fontVariantNumeric: 'tabular-nums' }}>
          {duration(nowS)} / {duration(durationS)}
        </span>
        <label htmlFor="zoom" style={{ margin: '0 0 0 auto' }}>
          Zoom
        </label>
        <input
          id="zoom" type="range" min={0} max={200} defaultValue={0} style={{ width: '10rem' }}
          onChange={(event) => surfer.current?.zoom(Number(event.target.value))}
        />
      </div>
      {data?.pictures.light && data.pictures.dark && (
        <figure style={{ margin: 0 }}>
          {/* eslint-disable-next-line @next/next/no-img-element -- a short-lived address is not to be cached by Next */}
          <img className="picture-light" src={data.pictures.light} width={1600} height={480} alt={`Spectrogram of ${title}`} />
          {/* eslint-disable-next-line @next/next/no-img-element -- likewise */}
          <img className="picture-dark" src={data.pictures.dark} width={1600} height={480} alt={`Spectrogram of ${title}`} />
        </figure>
      )}
    </section>
  )
}
