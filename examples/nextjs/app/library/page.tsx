import { dehydrate, HydrationBoundary, QueryClient } from '@tanstack/react-query'
import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { createClient } from '@/lib/supabase/server'
import { Library } from './library'
import { countQuery, pageQuery } from './queries'

export const metadata: Metadata = { title: 'Library' }

export default async function LibraryPage() {
  const supabase = await createClient()
  const { data } = await supabase.auth.getClaims()
  const userId = data?.claims.sub ?? ''
  const queries = new QueryClient()
  // What fails here is asked for again in the browser, which says so.
  await Promise.all([
    queries.prefetchQuery(countQuery(supabase, userId)),
    queries.prefetchQuery(pageQuery(supabase, userId, 'newest', 0)),
  ])
  return (
    <Page>
      <h1>Library</h1>
      <HydrationBoundary state={dehydrate(queries)}>
        <Library />
      </HydrationBoundary>
    </Page>
  )
}
