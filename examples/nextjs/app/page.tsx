import { Link } from '@/components/link'
import { Page } from '@/components/page'
import { RecordingList } from '@/components/recording-list'
import { LISTED, type Listed } from '@/lib/soundscape/listed'
import { createClient } from '@/lib/supabase/server'

/** Bars that swell and fade, for the drawing beside the first words. */
const BARS = Array.from({ length: 48 }, (_, i) => {
  const swell = Math.sin((i / 47) * Math.PI)
  return Math.max(4, 84 * swell * (0.35 + 0.65 * Math.abs(Math.sin(i * 1.7) * Math.cos(i * 0.43))))
})

export default async function Home() {
  const supabase = await createClient()
  const { data: newest, error } = await supabase
    .from('audio_files')
    .select(LISTED)
    .eq('is_listed', true)
    .eq('status', 'ready')
    .order('created_at', { ascending: false })
    .limit(12)
  return (
    <Page>
      <section className="start">
        <div>
          <h1>A home for recordings</h1>
          <p className="lead">
            Upload a sound. Moments later you can read what it is: its length, loudness, tempo and key, what is heard in
            it, and what else sounds like it.
          </p>
          <div className="row">
            <Link className="button primary" href="/library">
              Open your library
            </Link>
            <Link className="button" href="/search">
              Search public sounds
            </Link>
          </div>
        </div>
        <svg className="drawing" viewBox="0 0 480 180" aria-hidden="true">
          {BARS.map((height, i) => (
            <rect
              key={i} x={i * 10} y={(90 - height).toFixed(1)} width="5" height={(2 * height).toFixed(1)} rx="2.5"
              fill="currentColor" opacity={i < 30 ? 1 : 0.35}
            />
          ))}
        </svg>
      </section>
      <h2>New public recordings</h2>
      {error ? (
        <p className="notice bad">The recordings could not be read: {error.message}</p>
      ) : newest.length === 0 ? (
        <div className="empty">Nobody has published a recording yet.</div>
      ) : (
        <RecordingList recordings={newest as Listed[]} context="library" label="New public recordings" />
      )}
    </Page>
  )
}
