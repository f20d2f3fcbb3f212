'use client'

import { useQueries, useQuery, useQueryClient } from '@tanstack/react-query'
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent } from 'react'
import { useSupabase, useUserId } from '@/app/providers'
import { AnalysisProgress } from '@/components/analysis-progress'
import { Icon } from '@/components/icons'
import { RecordingItem } from '@/components/recording-item'
import { Uploads } from '@/components/uploads'
import { isSettled } from '@/lib/soundscape/database'
import { PAGE_ROWS, SORTS, type Sort } from '@/lib/soundscape/library'
import { counted, problemOf } from '@/lib/soundscape/words'
import { countQuery, pageQuery } from './queries'

/** What the server takes for the reader's screen: it renders the first rows for it. */
const SERVERS_SCREEN = { width: 1280, height: 800 }

/** The reader's own recordings, live: what is uploaded, analysed or deleted in another tab changes here too. */
export function Library() {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const userId = useUserId() ?? ''
  const [sort, setSort] = useState<Sort>('newest')
  const count = useQuery(countQuery(supabase, userId))

  return (
    <>
      <Uploads />
      <div className="row spread" style={{ margin: '2rem 0 0.75rem' }}>
        <span className="soft" role="status">
          {count.data !== undefined && counted(count.data, 'recording')}
        </span>
        <span className="row">
          <label htmlFor="sort" className="visually-hidden">
            Sort by
          </label>
          <select id="sort" value={sort} style={{ width: 'auto' }} onChange={(event) => setSort(event.target.value as Sort)}>
            {Object.entries(SORTS).map(([name, { label }]) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
          </select>
        </span>
      </div>
      {count.isError ? (
        <div className="notice bad row spread" role="alert">
          <span>The library could not be read. {problemOf(count.error)}</span>
          <button onClick={() => void queries.invalidateQueries({ queryKey: ['library', userId] })}>Try again</button>
        </div>
      ) : count.isPending ? (
        <p className="soft">Loading your library …</p>
      ) : count.data === 0 ? (
        <div className="empty">
          <Icon name="wave" />
          <p>No recordings yet. Add some above, and watch them being analysed.</p>
        </div>
      ) : (
        <Rows key={sort} userId={userId} sort={sort} count={count.data} />
      )}
    </>
  )
}

/** All rows, of which only those in sight are in the page. Arrow keys, Home and End move; Enter opens. */
function Rows({ userId, sort, count }: { userId: string; sort: Sort; count: number }) {
  const supabase = useSupabase()
  const list = useRef<HTMLUListElement>(null)
  const [top, setTop] = useState(0)
  const [rowPx, setRow] = useState(76)
  const [active, setActive] = useState(0)
  const wanted = useRef<number | null>(null)
  // What is above the list grows with each upload.
  useLayoutEffect(() => {
    const measure = () => {
      setTop((list.current?.getBoundingClientRect().top ?? 0) + window.scrollY)
      setRow(parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--row')) * 16)
    }
    measure()
    const observer = new ResizeObserver(measure)
    observer.observe(document.body)
    return () => observer.disconnect()
  }, [])
  const rows = useWindowVirtualizer({
    count, estimateSize: () => rowPx, overscan: 8, scrollMargin: top, scrollPaddingEnd: 96, scrollPaddingStart: 80,
    initialRect: SERVERS_SCREEN,
  })
  useEffect(() => rows.measure(), [rows, rowPx])
  const inSight = rows.getVirtualItems()
  const pages = [...new Set(inSight.map(({ index }) => Math.floor(index / PAGE_ROWS)))]
  const found = useQueries({
    queries: pages.map((page) => pageQuery(supabase, userId, sort, page)),
  })
  const byPage = new Map(pages.map((page, i) => [page, found[i]?.data]))
  const recordingAt = (index: number) => byPage.get(Math.floor(index / PAGE_ROWS))?.[index % PAGE_ROWS]
  const queue = found.flatMap(({ data }) => data ?? [])
  const problem = found.find(({ isError, data }) => isError && !data)?.error

  useEffect(() => {
    if (wanted.current === null) return
    const title = list.current?.querySelector<HTMLElement>(`a[data-index="${wanted.current}"]`)
    if (!title) return
    wanted.current = null
    title.focus({ preventScroll: true })
  })

  function move(event: KeyboardEvent) {
    const steps: Record<string, number> = { ArrowDown: active + 1, ArrowUp: active - 1, Home: 0, End: count - 1, PageDown: active + 10, PageUp: active - 10 }
    const step = steps[event.key]
    if (step === undefined) return
    event.preventDefault()
    const index = Math.min(count - 1, Math.max(0, step))
    wanted.current = index
    setActive(index)
    rows.scrollToIndex(index, { align: 'auto' })
  }

  return (
    <>
      {problem && <p className="notice bad" role="alert">Some recordings could not be read. {problemOf(problem)}</p>}
      <ul
        ref={list} className="list virtual" aria-label="Recordings" onKeyDown={move}
        onFocus={(event) => {
          const index = (event.target as HTMLElement).closest('li')?.dataset.index
          if (index !== undefined) setActive(Number(index))
        }}
        style={{ height: `calc(var(--row) * ${count})` }}
      >
        {inSight.map(({ index, key }) => {
          const recording = recordingAt(index)
          return (
            <li
              key={key} data-index={index} aria-setsize={count} aria-posinset={index + 1}
              // In units of the style sheet: a server does not know the height of a row.
              style={{ height: 'var(--row)', transform: `translateY(calc(var(--row) * ${index}))` }}
            >
              {recording ? (
                <RecordingItem
                  recording={recording} queue={queue}
                  titleProps={{ tabIndex: index === active ? 0 : -1, 'data-index': index }}
                  progress={isSettled(recording.status) ? undefined : <AnalysisProgress recording={recording} />}
                />
              ) : (
                <div className="item" aria-hidden="true">
                  <span className="bones" style={{ height: '2.75rem', borderRadius: '999px' }} />
                  <span className="bones pulse" />
                  <span className="bones pulse" />
                </div>
              )}
            </li>
          )
        })}
      </ul>
      <p className="soft small keys">
        Keyboard: arrow keys move in the list, Enter opens a recording, Tab reaches its play button.
      </p>
    </>
  )
}
