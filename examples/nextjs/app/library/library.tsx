'use client'

import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { useSupabase } from '@/app/providers'
import { LISTED, RecordingItem } from '@/components/recording-item'
import { Uploads } from '@/components/uploads'
import { watchLibrary } from '@/lib/soundscape/live'

const PAGE = 50
const SORTS = {
  newest: { label: 'Newest', column: 'created_at', ascending: false },
  title: { label: 'Title', column: 'title', ascending: true },
  longest: { label: 'Longest', column: 'duration', ascending: false },
} as const

/** The reader's own recordings, live: what is uploaded, analysed or deleted in another tab changes here too. */
export function Library() {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const [sort, setSort] = useState<keyof typeof SORTS>('newest')
  const { data: userId } = useQuery({
    queryKey: ['user'],
    queryFn: async () => (await supabase.auth.getSession()).data.session?.user.id ?? null,
  })
  const list = useInfiniteQuery({
    queryKey: ['library', userId, sort],
    enabled: Boolean(userId),
    initialPageParam: 0,
    queryFn: async ({ pageParam }) => {
      const { column, ascending } = SORTS[sort]
      const { data, error } = await supabase
        .from('audio_files')
        .select(LISTED)
        .eq('user_id', userId!)
        .order(column, { ascending, nullsFirst: false })
        .order('id')
        .range(pageParam, pageParam + PAGE - 1)
      if (error) throw error
      return data
    },
    getNextPageParam: (last, all) => (last.length < PAGE ? undefined : all.length * PAGE),
  })

  useEffect(() => {
    if (!userId) return
    let timer: ReturnType<typeof setTimeout> | undefined
    // An upload of forty files is one refetch, not a hundred and twenty.
    const stop = watchLibrary(supabase, userId, () => {
      clearTimeout(timer)
      timer = setTimeout(() => void queries.invalidateQueries({ queryKey: ['library', userId] }), 250)
    })
    return () => {
      clearTimeout(timer)
      stop()
    }
  }, [supabase, queries, userId])

  const end = useRef<HTMLDivElement>(null)
  const { hasNextPage, fetchNextPage, isFetchingNextPage } = list
  useEffect(() => {
    const observer = new IntersectionObserver(
      ([entry]) => entry?.isIntersecting && hasNextPage && !isFetchingNextPage && void fetchNextPage(),
      { rootMargin: '600px' },
    )
    if (end.current) observer.observe(end.current)
    return () => observer.disconnect()
  }, [hasNextPage, fetchNextPage, isFetchingNextPage])

  const recordings = list.data?.pages.flat() ?? []
  return (
    <>
      <Uploads onDone={() => void queries.invalidateQueries({ queryKey: ['library'] })} />
      <div className="row" style={{ margin: '1.5rem 0 0.75rem', justifyContent: 'space-between' }}>
        <span className="soft">{list.isSuccess && `${recordings.length}${hasNextPage ? '+' : ''} recordings`}</span>
        <span className="row">
          <label htmlFor="sort" style={{ margin: 0 }}>
            Sort by
          </label>
          <select
            id="sort" value={sort} style={{ width: 'auto' }}
            onChange={(event) => setSort(event.target.value as keyof typeof SORTS)}
          >
            {Object.entries(SORTS).map(([name, { label }]) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
          </select>
        </span>
      </div>
      {list.isError ? (
        <p className="notice bad" role="alert">
          The library could not be read: {list.error.message}{' '}
          <button onClick={() => void list.refetch()}>Try again</button>
        </p>
      ) : list.isPending ? (
        <p className="soft pulse">Reading your library …</p>
      ) : recordings.length === 0 ? (
        <p className="soft">No recordings yet. Drop some above.</p>
      ) : (
        <ul className="list" aria-label="Recordings">
          {recordings.map((recording) => (
            <li key={recording.id}>
              <RecordingItem recording={recording} />
            </li>
          ))}
        </ul>
      )}
      <div ref={end} />
    </>
  )
}
