import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { Duplicates } from './duplicates'

export const metadata: Metadata = { title: 'Duplicates' }

export default function DuplicatesPage() {
  return (
    <Page>
      <h1>Duplicates</h1>
      <Duplicates />
    </Page>
  )
}
