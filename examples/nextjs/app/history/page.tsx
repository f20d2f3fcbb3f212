import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { History } from './history'

export const metadata: Metadata = { title: 'Listening history' }

export default function HistoryPage() {
  return (
    <Page>
      <h1>Listening history</h1>
      <History />
    </Page>
  )
}
