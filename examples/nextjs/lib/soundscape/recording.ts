/** Addresses of a recording's sound and pictures. They live a quarter of an hour. */
import type { Client, Features, Recording } from './database'
import type { WaveformFiles } from './waveform'

const MINUTES_15 = 15 * 60

/** The part of the record (`audio_features.descriptors`) that pages draw. */
export interface RecordOfAnalysis {
  waveform: WaveformFiles
  rhythm: { beats_s: number[] } | null
  pictures: {
    spectrogram: string | null
    spectrogram_dark: string | null
    /** Without axes, 320 × 96. */
    thumbnail: string | null
    spectrogram_tiles: { paths: string[]; seconds_per_pixel: number; width_px: number; height_px: number } | null
  }
  stages: { name: string; status: 'done' | 'skipped'; reason: string | null }[]
}

export function recordOf(features: Pick<Features, 'descriptors'>): RecordOfAnalysis {
  return features.descriptors as unknown as RecordOfAnalysis
}

/** An address of the sound to play: of its preview where it has one. Null where the caller may not hear it. */
export async function addressOf(
  supabase: Client, { file_path, preview_path }: Pick<Recording, 'file_path' | 'preview_path'>,
): Promise<string | null> {
  const { data } = preview_path
    ? await supabase.storage.from('waveforms').createSignedUrl(preview_path, MINUTES_15)
    : await supabase.storage.from('audio-files').createSignedUrl(file_path, MINUTES_15)
  return data?.signedUrl ?? null
}

/** An address that saves the original under the recording's title. Null where the caller may not hear it. */
export async function downloadAddressOf(
  supabase: Client, { file_path, title }: Pick<Recording, 'file_path' | 'title'>,
): Promise<string | null> {
  const suffix = /\.[a-z0-9]+$/i.exec(file_path)?.[0] ?? ''
  const { data } = await supabase.storage
    .from('audio-files').createSignedUrl(file_path, MINUTES_15, { download: title + suffix })
  return data?.signedUrl ?? null
}

/** Addresses by their paths. */
export type SignedPaths = Record<string, string>

/** Signed addresses of pictures by their paths; what is missing is left out. */
export async function picturesOf(supabase: Client, paths: string[]): Promise<Map<string, string>> {
  if (paths.length === 0) return new Map()
  const { data } = await supabase.storage.from('waveforms').createSignedUrls(paths, MINUTES_15)
  return new Map((data ?? []).flatMap(({ path, signedUrl }) => (path && signedUrl ? [[path, signedUrl]] : [])))
}
