import { dehydrate, HydrationBoundary, QueryClient } from '@tanstack/react-query'
import type { Metadata } from 'next'
import { cookies } from 'next/headers'
import { notFound } from 'next/navigation'
import { cache } from 'react'
import { Link } from '@/components/link'
import { Page } from '@/components/page'
import { isNoId, isSettled } from '@/lib/soundscape/database'
import { picturesOf, recordOf } from '@/lib/soundscape/recording'
import {
  bytes, counted, duration, key, keyInWords, level, loudness, loudnessInWords, NOT_KNOWN, statusOf, tempo, tempoInWords,
} from '@/lib/soundscape/words'
import { siteUrl } from '@/lib/site'
import { createClient } from '@/lib/supabase/server'
import { workerUrl } from '@/lib/supabase/settings'
import { Actions } from './actions'
import { Caption } from './caption'
import { Licensing } from './licensing'
import { LiveStatus } from './live-status'
import { Matches } from './matches'
import { Place } from './place'
import { RecordingPlayer } from './player'
import { captionQuery, likeQuery, playlistsQuery } from './queries'
import { Similar } from './similar'

type Props = { params: Promise<{ id: string }> }

const read = cache(async (id: string) => {
  const supabase = await createClient()
  const { data, error } = await supabase
    .from('audio_files')
    .select('*, audio_features(*), audio_tags(*), audio_stats(plays, likes, downloads), users(id, display_name, username), licenses(name, url)')
    .eq('id', id)
    .maybeSingle()
  if (error && !isNoId(error)) throw error
  return data
})

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  const recording = await read((await params).id)
  if (!recording) return { title: 'Not found' }
  const { id, title } = recording
  const description = recording.description ?? `A recording of ${duration(recording.duration)}.`
  // What is private has no address that others could open.
  if (!recording.is_listed) return { title, description, robots: { index: false } }
  const address = `/recordings/${id}`
  return {
    title,
    description,
    alternates: {
      canonical: address,
      types: { 'application/json+oembed': `${workerUrl}/api/oembed?url=${encodeURIComponent(siteUrl() + address)}` },
    },
    openGraph: {
      title, description, type: 'music.song', url: address, siteName: 'SoundScape',
      audio: [{ url: `${workerUrl}/api/audio/${id}/preview` }],
      images: [{ url: `${workerUrl}/api/audio/${id}/waveform`, alt: `Waveform of ${title}` }],
    },
    twitter: { card: 'summary_large_image', title, description },
  }
}

export default async function RecordingPage({ params }: Props) {
  const recording = await read((await params).id)
  if (!recording) notFound()
  const supabase = await createClient()
  const { data } = await supabase.auth.getClaims()
  const userId = data?.claims.sub ?? null
  const isOwner = userId === recording.user_id
  const features = recording.audio_features
  const record = features && recordOf(features)
  const { spectrogram, spectrogram_dark, thumbnail } = record?.pictures ?? {}
  const drawn = [spectrogram, spectrogram_dark, thumbnail, ...(record?.waveform.levels ?? []).map(({ path }) => path)]
  const queries = new QueryClient()
  // What fails here is asked for again in the browser.
  const [addresses, isCaptioned] = await Promise.all([
    picturesOf(supabase, drawn.filter((path) => path != null)),
    supabase.rpc('flag', { key: 'captions' }),
    queries.prefetchQuery(captionQuery(supabase, recording.id)),
    ...(userId ? [queries.prefetchQuery(likeQuery(supabase, recording.id, userId)), queries.prefetchQuery(playlistsQuery(supabase, userId))] : []),
  ])
  const theme = (await cookies()).get('theme')?.value
  const tags = [...recording.audio_tags].sort((a, b) => b.confidence - a.confidence)
  const durationS = recording.duration ?? features?.duration_s ?? 0
  const skipped = record?.stages.filter(({ status }) => status === 'skipped') ?? []
  const figures: [string, string, string?][] = [
    ['Length', duration(recording.duration)],
    ['Loudness', loudness(features?.integrated_lufs), loudnessInWords(features?.integrated_lufs)],
    ['Tempo', tempo(features?.tempo_bpm), tempoInWords(features?.tempo_bpm)],
    ['Key', key(features?.key, features?.mode), keyInWords(features?.key, features?.key_confidence)],
    ['True peak', level(features?.true_peak_dbtp, 'dBTP')],
    ['Sample rate', recording.sample_rate == null ? NOT_KNOWN : `${recording.sample_rate / 1000} kHz`],
    ['Channels', String(recording.channels ?? NOT_KNOWN)],
    ['Size', bytes(recording.size_bytes)],
  ]
  const owner = recording.users
  return (
    <Page>
      <HydrationBoundary state={dehydrate(queries)}>
        <article className="hero">
          <div>
            <h1 dir="auto">{recording.title}</h1>
            <div className="row small by">
              <Link href={`/users/${recording.user_id}`} dir="auto">
                {owner?.display_name ?? owner?.username ?? 'Somebody'}
              </Link>
              <time dateTime={recording.created_at}>
                {new Date(recording.created_at).toLocaleDateString('en', { dateStyle: 'long' })}
              </time>
              <span className="badge">{recording.is_public ? 'Public' : 'Private'}</span>
              {recording.recorded_at && (
                <span>recorded {new Date(recording.recorded_at).toLocaleDateString('en', { dateStyle: 'long' })}</span>
              )}
              {recording.audio_stats && (
                <span>
                  {counted(recording.audio_stats.plays, 'play')}, {counted(recording.audio_stats.likes, 'like')},{' '}
                  {counted(recording.audio_stats.downloads, 'download')}
                </span>
              )}
            </div>
          </div>
          {recording.description && (
            <p dir="auto" style={{ whiteSpace: 'pre-line', margin: 0 }}>
              {recording.description}
            </p>
          )}
          {recording.hidden_at && (
            <p className="notice bad">A moderator has hidden this recording: {recording.hidden_reason}</p>
          )}
          {features && record ? (
            <RecordingPlayer
              id={recording.id} title={recording.title} durationS={durationS} peaks={recording.peaks}
              signed={Object.fromEntries(addresses)} theme={theme === 'light' || theme === 'dark' ? theme : undefined}
              record={{ waveform: record.waveform, rhythm: record.rhythm, pictures: record.pictures }}
              tags={tags.map(({ label, start_s, end_s }) => ({ label, start_s, end_s }))}
            />
          ) : isOwner && !isSettled(recording.status) ? (
            <LiveStatus
              recording={{
                id: recording.id, title: recording.title, status: recording.status, error_message: recording.error_message,
              }}
            />
          ) : (
            <p className={`notice ${isSettled(recording.status) ? 'bad' : ''}`}>{statusOf(recording)}</p>
          )}
          <Actions
            recording={{
              id: recording.id, file_path: recording.file_path, title: recording.title, status: recording.status,
              description: recording.description, tags: recording.tags, license: recording.license,
              attribution: recording.attribution, is_public: recording.is_public, recorded_at: recording.recorded_at,
              latitude: recording.latitude, longitude: recording.longitude, location_precision_m: recording.location_precision_m,
              sources: recording.sources,
            }}
            isOwner={isOwner} isMember={Boolean(userId)}
          />
          <Caption id={recording.id} isOwner={isOwner} isSwitchedOn={isCaptioned.data ?? false} />
        </article>
      </HydrationBoundary>
      <h2>What was measured</h2>
      <dl className="figures">
        {figures.map(([name, value, words]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
            {words && <dd className="words">{words}</dd>}
          </div>
        ))}
      </dl>
      {skipped.length > 0 && (
        <details className="small soft" style={{ marginTop: '1rem' }}>
          <summary>What is not known, and why</summary>
          <ul>
            {skipped.map(({ name, reason }) => (
              <li key={name}>
                {name}: {reason}
              </li>
            ))}
          </ul>
        </details>
      )}
      {(tags.length > 0 || recording.tags.length > 0) && (
        <>
          <h2>What is heard</h2>
          <ul className="tags">
            {[...new Set([...recording.tags, ...tags.map(({ label }) => label)])].slice(0, 16).map((label) => (
              <li key={label}>
                <Link href={`/search?q=${encodeURIComponent(label)}`} dir="auto">{label}</Link>
              </li>
            ))}
          </ul>
        </>
      )}
      <Licensing
        title={recording.title} licence={recording.licenses} sources={recording.sources}
        creditedTo={recording.attribution ?? owner?.display_name ?? owner?.username ?? 'Somebody'}
      />
      {recording.latitude !== null && recording.longitude !== null && (
        <Place
          id={recording.id} latitude={recording.latitude} longitude={recording.longitude}
          precisionM={recording.location_precision_m}
        />
      )}
      {features && <Matches id={recording.id} isOwner={isOwner} />}
      {features && <Similar id={recording.id} />}
    </Page>
  )
}
