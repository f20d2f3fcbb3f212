/** Waveforms as the analysis stores them: audiowaveform's version 2 JSON, minimum and maximum by channel by pixel. */
import type { Client } from '@/lib/supabase/browser'

export interface Waveform {
  channels: number
  bits: number
  length: number
  sample_rate: number
  samples_per_pixel: number
  data: number[]
}

/** The overview of a recording, at most 6,000 pixels. `path` is `audio_features.waveform_path`. */
export async function fetchWaveform(supabase: Client, path: string): Promise<Waveform> {
  const { data, error } = await supabase.storage.from('waveforms').download(path.replace(/\.dat$/, '.json'))
  if (error) throw error
  return JSON.parse(await data.text()) as Waveform
}

/** Peaks from -1 to 1, an array a channel, as wavesurfer takes them. */
export function channelsOf({ channels, bits, data }: Waveform): number[][] {
  const scale = 2 ** (bits - 1)
  return Array.from({ length: channels }, (_, channel) =>
    data.filter((_, i) => (i % (2 * channels)) >> 1 === channel).map((value) => value / scale),
  )
}

/** `count` bars from 0 to 1, the loudest 1: for a small picture of the whole. */
export function barsOf({ channels, length, data }: Waveform, count: number): number[] {
  const bars = Array.from({ length: count }, (_, bar) => {
    const first = Math.floor((bar * length) / count)
    const last = Math.max(first + 1, Math.floor(((bar + 1) * length) / count))
    let peak = 0
    for (let i = first * 2 * channels; i < last * 2 * channels; i++) peak = Math.max(peak, Math.abs(data[i] ?? 0))
    return peak
  })
  const loudest = Math.max(...bars, 1)
  return bars.map((bar) => bar / loudest)
}
