/** Waveforms as the analysis stores them: audiowaveform's version 2, minimum and maximum by channel by pixel. */
import type { Client } from './database'

const HEADER_BYTES = 24
const MINUTES_15 = 15 * 60

/** `waveform` of the record, in `audio_features.descriptors`. */
export interface WaveformFiles {
  path: string
  json_path: string
  sample_rate: number
  channels: number
  bits: number
  /** The finest first; the last is the overview. */
  levels: { path: string; samples_per_pixel: number; length: number; size_bytes: number }[]
}

/** Signed addresses of a waveform's files by their paths. They live a quarter of an hour. */
export async function signLevels(supabase: Client, files: WaveformFiles): Promise<Map<string, string>> {
  const paths = files.levels.map(({ path }) => path)
  const { data, error } = await supabase.storage.from('waveforms').createSignedUrls(paths, MINUTES_15)
  if (error) throw error
  return new Map(data.flatMap(({ path, signedUrl }) => (path && signedUrl ? [[path, signedUrl]] : [])))
}

/** The level that fits a window of `widthPx`, and the bytes of the window in it. */
export function windowOf(files: WaveformFiles, startS: number, endS: number, widthPx: number) {
  const span = (endS - startS) * files.sample_rate
  const fitting = files.levels.filter((level) => span >= widthPx * level.samples_per_pixel)
  const level = fitting.at(-1) ?? files.levels[0]!
  const first = Math.max(0, Math.floor((startS * files.sample_rate) / level.samples_per_pixel))
  const last = Math.max(first + 1, Math.min(Math.ceil((endS * files.sample_rate) / level.samples_per_pixel), level.length))
  const pixelBytes = 4 * files.channels
  return { path: level.path, from: HEADER_BYTES + first * pixelBytes, to: HEADER_BYTES + last * pixelBytes - 1 }
}

/** Peaks of a window from -1 to 1, an array a channel, as wavesurfer takes them. */
export async function fetchWindow(
  addresses: Map<string, string>, files: WaveformFiles, startS: number, endS: number, widthPx: number, signal?: AbortSignal,
): Promise<number[][]> {
  const { path, from, to } = windowOf(files, startS, endS, widthPx)
  const address = addresses.get(path)
  if (!address) throw new Error('The waveform is not there.')
  const response = await fetch(address, { headers: { range: `bytes=${from}-${to}` }, signal: signal ?? null })
  if (response.status !== 206) throw new Error(`The waveform could not be read (${response.status}).`)
  const values = new Int16Array(await response.arrayBuffer())
  return channelsOf(values, files.channels, files.bits)
}

/** Peaks from -1 to 1, an array a channel, of values in audiowaveform's order. */
export function channelsOf(values: ArrayLike<number>, channels: number, bits: number): number[][] {
  const scale = 2 ** (bits - 1)
  const made: number[][] = Array.from({ length: channels }, () => [])
  for (let i = 0; i < values.length; i++) made[(i % (2 * channels)) >> 1]!.push(values[i]! / scale)
  return made
}
