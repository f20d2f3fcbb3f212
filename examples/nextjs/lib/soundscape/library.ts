/** The caller's own recordings, a page at a time, in one of several orders. */
import type { Client } from './database'
import { LISTED, type Listed } from './listed'

export const PAGE_ROWS = 50

export const SORTS = {
  newest: { label: 'Newest first', column: 'created_at', ascending: false },
  oldest: { label: 'Oldest first', column: 'created_at', ascending: true },
  title: { label: 'Title', column: 'title', ascending: true },
  longest: { label: 'Longest first', column: 'duration', ascending: false },
  shortest: { label: 'Shortest first', column: 'duration', ascending: true },
} as const
export type Sort = keyof typeof SORTS

export async function countRecordings(supabase: Client, userId: string): Promise<number> {
  const { count, error } = await supabase
    .from('audio_files').select('id', { count: 'exact', head: true }).eq('user_id', userId)
  // The answer to HEAD has no body to say what is wrong.
  if (error) throw new Error(error.message || 'The project does not answer.')
  return count ?? 0
}

export async function readPage(supabase: Client, userId: string, sort: Sort, page: number): Promise<Listed[]> {
  const { column, ascending } = SORTS[sort]
  const { data, error } = await supabase
    .from('audio_files')
    .select(LISTED)
    .eq('user_id', userId)
    .order(column, { ascending, nullsFirst: false })
    .order('id')
    .range(page * PAGE_ROWS, (page + 1) * PAGE_ROWS - 1)
  if (error) throw error
  return data as Listed[]
}
