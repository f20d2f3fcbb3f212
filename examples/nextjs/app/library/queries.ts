/** What the library reads, on the server first and then in the browser. */
import { queryOptions } from '@tanstack/react-query'
import type { Client } from '@/lib/soundscape/database'
import { countRecordings, readPage, type Sort } from '@/lib/soundscape/library'

export const countQuery = (supabase: Client, userId: string) =>
  queryOptions({ queryKey: ['library', userId, 'count'], queryFn: () => countRecordings(supabase, userId) })

export const pageQuery = (supabase: Client, userId: string, sort: Sort, page: number) =>
  queryOptions({
    queryKey: ['library', userId, 'page', sort, page],
    queryFn: () => readPage(supabase, userId, sort, page),
  })
