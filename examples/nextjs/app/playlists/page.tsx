import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { Playlists } from './playlists'

export const metadata: Metadata = { title: 'Playlists' }

export default function PlaylistsPage() {
  return (
    <Page>
      <h1>Playlists</h1>
      <Playlists />
    </Page>
  )
}
