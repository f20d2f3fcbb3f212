import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { Statistics } from './statistics'

export const metadata: Metadata = { title: 'Statistics' }

export default function StatisticsPage() {
  return (
    <Page>
      <h1>Statistics</h1>
      <Statistics />
    </Page>
  )
}
