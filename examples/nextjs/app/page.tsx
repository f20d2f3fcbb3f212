import Link from 'next/link'
import { Page } from '@/components/page'
import { RecordingItem, LISTED } from '@/components/recording-item'
import { createClient } from '@/lib/supabase/server'

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
      <h1>A home for recordings</h1>
      <p>
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
      <h2>New public recordings</h2>
      {error ? (
        <p className="notice bad">The recordings could not be read: {error.message}</p>
      ) : newest.length === 0 ? (
        <p className="soft">Nobody has published a recording yet.</p>
      ) : (
        <ul className="list">
          {newest.map((recording) => (
            <li key={recording.id}>
              <RecordingItem recording={recording} note="Public" />
            </li>
          ))}
        </ul>
      )}
    </Page>
  )
}
