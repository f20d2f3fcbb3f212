import { notFound } from 'next/navigation'
import { RecordingPlayer } from '@/app/recordings/[id]/player'
import { isNoId } from '@/lib/soundscape/database'
import { recordOf } from '@/lib/soundscape/recording'
import { siteUrl } from '@/lib/site'
import { createClient } from '@/lib/supabase/server'

/** A player for other people's pages: public recordings only, whoever looks. */
export default async function EmbedPage({ params }: { params: Promise<{ id: string }> }) {
  const { id } = await params
  const supabase = await createClient()
  const { data: recording, error } = await supabase
    .from('audio_files')
    .select('id, title, duration, peaks, audio_features(descriptors, duration_s)')
    .eq('id', id)
    .eq('is_listed', true)
    .maybeSingle()
  if (error && !isNoId(error)) throw error
  if (!recording?.audio_features) notFound()
  const { waveform, rhythm, pictures } = recordOf(recording.audio_features)
  return (
    <main className="embed">
      <h1 style={{ fontSize: '1rem' }} dir="auto">
        <a href={`${siteUrl()}/recordings/${recording.id}`} target="_blank" rel="noopener">
          {recording.title}
        </a>
      </h1>
      <RecordingPlayer
        id={recording.id} title={recording.title} tags={[]} peaks={recording.peaks} context="embed"
        record={{ waveform, rhythm, pictures: { ...pictures, spectrogram: null } }}
        durationS={recording.duration ?? recording.audio_features.duration_s}
      />
    </main>
  )
}
