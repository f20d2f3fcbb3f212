import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { Likes } from './likes'

export const metadata: Metadata = { title: 'Likes' }

export default function LikesPage() {
  return (
    <Page>
      <h1>Likes</h1>
      <Likes />
    </Page>
  )
}
