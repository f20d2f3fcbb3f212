import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { Library } from './library'

export const metadata: Metadata = { title: 'Library' }

export default function LibraryPage() {
  return (
    <Page>
      <h1>Library</h1>
      <Library />
    </Page>
  )
}
