import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { ForYou } from './for-you'

export const metadata: Metadata = { title: 'For you' }

export default function ForYouPage() {
  return (
    <Page>
      <h1>For you</h1>
      <ForYou />
    </Page>
  )
}
