import type { Metadata } from 'next'
import { notFound } from 'next/navigation'
import { cache } from 'react'
import { Page } from '@/components/page'
import { isNoId } from '@/lib/soundscape/database'
import { createClient } from '@/lib/supabase/server'
import { workerUrl } from '@/lib/supabase/settings'
import { Playlist } from './playlist'
import { PlaylistActions } from './playlist-actions'

type Props = { params: Promise<{ id: string }> }

const read = cache(async (id: string) => {
  const supabase = await createClient()
  const { data, error } = await supabase
    .from('playlists').select('id, title, description, is_public, user_id').eq('id', id).maybeSingle()
  if (error && !isNoId(error)) throw error
  return data
})

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  const playlist = await read((await params).id)
  if (!playlist) return { title: 'Not found' }
  const { id, title, description, is_public } = playlist
  if (!is_public) return { title }
  return {
    title,
    ...(description ? { description } : {}),
    alternates: { types: { 'application/rss+xml': `${workerUrl}/api/playlists/${id}/feed.xml` } },
    openGraph: { title, ...(description ? { description } : {}), type: 'music.playlist' },
  }
}

export default async function PlaylistPage({ params }: Props) {
  const playlist = await read((await params).id)
  if (!playlist) notFound()
  const supabase = await createClient()
  const { data } = await supabase.auth.getClaims()
  const isOwner = data?.claims.sub === playlist.user_id
  return (
    <Page>
      <div className="row spread" style={{ marginBottom: '1.5rem' }}>
        <div>
          <h1 dir="auto" style={{ marginBottom: '0.25rem' }}>{playlist.title}</h1>
          {playlist.description && <p className="soft" dir="auto" style={{ margin: 0 }}>{playlist.description}</p>}
        </div>
        {isOwner && <PlaylistActions id={playlist.id} title={playlist.title} isPublic={playlist.is_public} />}
      </div>
      <Playlist id={playlist.id} isOwner={isOwner} />
    </Page>
  )
}
