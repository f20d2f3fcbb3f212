import type { Metadata } from 'next'
import { notFound } from 'next/navigation'
import { cache } from 'react'
import { Page } from '@/components/page'
import { RecordingList } from '@/components/recording-list'
import { isNoId } from '@/lib/soundscape/database'
import { LISTED, type Listed } from '@/lib/soundscape/listed'
import { createClient } from '@/lib/supabase/server'
import { supabaseUrl, workerUrl } from '@/lib/supabase/settings'

type Props = { params: Promise<{ id: string }> }

const read = cache(async (id: string) => {
  const supabase = await createClient()
  const { data, error } = await supabase
    .from('users').select('id, display_name, username, bio, avatar_path').eq('id', id).maybeSingle()
  if (error && !isNoId(error)) throw error
  return data
})

const nameOf = (user: { display_name: string | null; username: string | null }) =>
  user.display_name ?? user.username ?? 'Somebody'

const feedOf = (id: string) => `${workerUrl}/api/users/${id}/feed.xml`

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  const user = await read((await params).id)
  if (!user) return { title: 'Not found' }
  return {
    title: nameOf(user),
    description: user.bio ?? `Recordings by ${nameOf(user)}.`,
    alternates: { canonical: `/users/${user.id}`, types: { 'application/rss+xml': feedOf(user.id) } },
    openGraph: { title: nameOf(user), type: 'profile' },
  }
}

/** A person's public recordings, for everybody. */
export default async function UserPage({ params }: Props) {
  const user = await read((await params).id)
  if (!user) notFound()
  const supabase = await createClient()
  const { data: recordings, error } = await supabase
    .from('audio_files')
    .select(LISTED)
    .eq('user_id', user.id)
    .eq('is_listed', true)
    .eq('status', 'ready')
    .order('created_at', { ascending: false })
    .limit(100)
  const name = nameOf(user)
  return (
    <Page>
      <div className="row" style={{ marginBottom: '2rem', gap: '1.25rem' }}>
        {user.avatar_path ? (
          // eslint-disable-next-line @next/next/no-img-element -- it lies in the project's public bucket
          <img
            className="avatar large" alt="" width={80} height={80} style={{ objectFit: 'cover' }}
            src={`${supabaseUrl}/storage/v1/object/public/profile-images/${user.avatar_path}`}
          />
        ) : (
          <span className="avatar large" aria-hidden="true">{[...name][0]}</span>
        )}
        <div>
          <h1 dir="auto" style={{ margin: 0 }}>{name}</h1>
          {user.username && <span className="soft">@{user.username}</span>}
        </div>
        <a className="button" href={feedOf(user.id)} style={{ marginInlineStart: 'auto' }}>
          Feed
        </a>
      </div>
      {user.bio && <p dir="auto" style={{ whiteSpace: 'pre-line' }}>{user.bio}</p>}
      {error ? (
        <p className="notice bad">The recordings could not be read: {error.message}</p>
      ) : recordings.length === 0 ? (
        <div className="empty">Nothing public yet.</div>
      ) : (
        <RecordingList recordings={recordings as Listed[]} context="profile" label={`Recordings by ${name}`} />
      )}
    </Page>
  )
}
