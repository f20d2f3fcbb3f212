import type { Metadata } from 'next'
import { notFound } from 'next/navigation'
import { cache } from 'react'
import { Page } from '@/components/page'
import { createClient } from '@/lib/supabase/server'
import { Playlist } from './playlist'

type Props = { params: Promise<{ id: string }> }

const read = cache(async (id: string) => {
  const supabase = await createClient()
  const { data } = await supabase.from('playlists').select('id, title, user_id').eq('id', id).maybeSingle()
  return data
})

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  return { title: (await read((await params).id))?.title ?? 'Playlist' }
}

export default async function PlaylistPage({ params }: Props) {
  const playlist = await read((await params).id)
  if (!playlist) notFound()
  return (
    <Page>
      <h1 dir="auto">{playlist.title}</h1>
      <Playlist id={playlist.id} />
    </Page>
  )
}
