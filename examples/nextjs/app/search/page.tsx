import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { Search } from './search'

export const metadata: Metadata = { title: 'Search' }

export default async function SearchPage({ searchParams }: { searchParams: Promise<{ q?: string }> }) {
  const { q } = await searchParams
  return (
    <Page>
      <h1>Search</h1>
      <Search initial={q ?? ''} />
    </Page>
  )
}
