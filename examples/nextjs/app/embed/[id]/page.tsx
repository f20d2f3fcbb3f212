import { notFound } from 'next/navigation'
import { createClient } from '@/lib/supabase/server'
import { Player } from '../../recordings/[id]/player'

/** A player for other people's pages: public recordings only, whoever looks. */
export default async function EmbedPage({ params }: { params: Promise<{ id: string }> }) {
  const { id } = await params
  const supabase = await createClient()
  const { data: recording } = await supabase
    .from('audio_files')
    .select('id, title, file_path, duration, audio_features(waveform_path, duration_s)')
    .eq('id', id)
    .eq('is_listed', true)
    .maybeSingle()
  if (!recording?.audio_features) notFound()
  return (
    <main className="embed">
      <h1 style={{ fontSize: '1rem' }} dir="auto">
        {recording.title}
      </h1>
      <Player
        id={recording.id} filePath={recording.file_path} title={recording.title} tags={[]}
        waveformPath={recording.audio_features.waveform_path}
        durationS={recording.duration ?? recording.audio_features.duration_s}
      />
    </main>
  )
}
