import type { Metadata } from 'next'
import Link from 'next/link'
import { notFound } from 'next/navigation'
import { cache } from 'react'
import { Page } from '@/components/page'
import { createClient } from '@/lib/supabase/server'
import { bytes, duration, key, level, loudness, NOT_KNOWN, statusOf, tempo } from '@/lib/soundscape/words'
import { Actions } from './actions'
import { Player } from './player'
import { Similar } from './similar'

type Props = { params: Promise<{ id: string }> }

const read = cache(async (id: string) => {
  const supabase = await createClient()
  const { data } = await supabase
    .from('audio_files')
    .select('*, audio_features(*), audio_tags(*)')
    .eq('id', id)
    .maybeSingle()
  return data
})

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  const recording = await read((await params).id)
  if (!recording) return { title: 'Not found' }
  const description = recording.description ?? `A recording of ${duration(recording.duration)}.`
  return { title: recording.title, description, openGraph: { title: recording.title, description, type: 'music.song' } }
}

export default async function RecordingPage({ params }: Props) {
  const recording = await read((await params).id)
  if (!recording) notFound()
  const supabase = await createClient()
  const { data } = await supabase.auth.getClaims()
  const userId = data?.claims.sub
  const features = recording.audio_features
  const tags = [...recording.audio_tags].sort((a, b) => b.confidence - a.confidence)
  const figures: [string, string][] = [
    ['Length', duration(recording.duration)],
    ['Loudness', loudness(features?.integrated_lufs)],
    ['Tempo', tempo(features?.tempo_bpm)],
    ['Key', key(features?.key, features?.mode)],
    ['True peak', level(features?.true_peak_dbtp, 'dBTP')],
    ['Sample rate', recording.sample_rate == null ? NOT_KNOWN : `${recording.sample_rate / 1000} kHz`],
    ['Channels', String(recording.channels ?? NOT_KNOWN)],
    ['Size', bytes(recording.size_bytes)],
  ]
  return (
    <Page>
      <h1 dir="auto">{recording.title}</h1>
      {recording.description && <p dir="auto">{recording.description}</p>}
      {recording.hidden_at && (
        <p className="notice bad">A moderator has hidden this recording: {recording.hidden_reason}</p>
      )}
      {features ? (
        <Player
          id={recording.id} filePath={recording.file_path} waveformPath={features.waveform_path}
          title={recording.title} durationS={recording.duration ?? features.duration_s}
          tags={tags.map(({ label, start_s, end_s }) => ({ label, start_s, end_s }))}
        />
      ) : (
        <p className="notice">{statusOf(recording)}</p>
      )}
      <Actions
        id={recording.id} filePath={recording.file_path} title={recording.title} isPublic={recording.is_public}
        isOwner={userId === recording.user_id} isMember={Boolean(userId)} status={recording.status}
      />
      <h2>What was measured</h2>
      <dl className="figures">
        {figures.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {features && [features.tempo_bpm, features.key, features.integrated_lufs].includes(null) && (
        <p className="soft small" style={{ marginTop: '0.5rem' }}>
          A dash means that the sound has none, or that it could not be told.
        </p>
      )}
      {tags.length > 0 && (
        <>
          <h2>What is heard</h2>
          <ul className="tags">
            {tags.slice(0, 12).map((tag) => (
              <li key={tag.label}>
                <Link href={`/search?q=${encodeURIComponent(tag.label)}`}>{tag.label}</Link>
              </li>
            ))}
          </ul>
        </>
      )}
      {features && <Similar id={recording.id} />}
    </Page>
  )
}
