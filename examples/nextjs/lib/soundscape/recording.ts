/** One recording with what was heard in it. */
import type { Client } from '@/lib/supabase/browser'

const MINUTES_15 = 15 * 60

/** An address of the original that lives a quarter of an hour. Null where the caller may not hear it. */
export async function addressOf(supabase: Client, filePath: string): Promise<string | null> {
  const { data } = await supabase.storage.from('audio-files').createSignedUrl(filePath, MINUTES_15)
  return data?.signedUrl ?? null
}

/** Addresses of pictures of the analysis, by the names of the record. */
export async function picturesOf(supabase: Client, waveformPath: string): Promise<Record<'light' | 'dark', string | null>> {
  const folder = waveformPath.slice(0, waveformPath.lastIndexOf('/'))
  const paths = [`${folder}/spectrogram.png`, `${folder}/spectrogram_dark.png`]
  const { data } = await supabase.storage.from('waveforms').createSignedUrls(paths, MINUTES_15)
  return { light: data?.[0]?.signedUrl ?? null, dark: data?.[1]?.signedUrl ?? null }
}
