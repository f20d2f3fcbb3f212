'use client'

import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { useDeferredValue, useState } from 'react'
import { useSupabase } from '@/app/providers'
import { readListed, RecordingItem } from '@/components/recording-item'

const PAGE = 30
const KEYS = ['C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B']

interface Filters {
  labels?: string[]
  key?: string
  mode?: string
  min_tempo_bpm?: number
  max_tempo_bpm?: number
}

/** Search by words and by what was measured, with the facets of what was found. */
export function Search({ initial }: { initial: string }) {
  const supabase = useSupabase()
  const [typed, setTyped] = useState(initial)
  const [filters, setFilters] = useState<Filters>({})
  const query = useDeferredValue(typed.trim())
  const args = { ...(query ? { query } : {}), ...filters }

  const found = useInfiniteQuery({
    queryKey: ['search', args],
    initialPageParam: undefined as string | undefined,
    queryFn: async ({ pageParam }) => {
      const { data, error } = await supabase.rpc('search_audio', {
        ...args,
        limit: PAGE,
        ...(pageParam ? { after: pageParam } : {}),
      })
      if (error) throw error
      return { rows: await readListed(supabase, data.map((row) => row.id)), cursor: data.at(-1)?.cursor, count: data.length }
    },
    getNextPageParam: (last) => (last.count < PAGE ? undefined : last.cursor),
  })
  const facets = useQuery({
    queryKey: ['facets', args],
    queryFn: async () => {
      const { data, error } = await supabase.rpc('search_facets', args)
      if (error) throw error
      return data
    },
  })

  const rows = found.data?.pages.flatMap((page) => page.rows) ?? []
  const labels = (facets.data ?? []).filter(({ facet }) => facet === 'label').slice(0, 14)
  const total = facets.data?.find(({ facet }) => facet === 'all')
  return (
    <>
      <search>
        <div className="fields" style={{ gridTemplateColumns: 'minmax(14rem, 2fr) repeat(auto-fit, minmax(7rem, 1fr))' }}>
          <div>
            <label htmlFor="q">Words</label>
            <input
              id="q" type="search" value={typed} placeholder='rain "at night" -thunder'
              onChange={(event) => setTyped(event.target.value)}
            />
          </div>
          <div>
            <label htmlFor="key">Key</label>
            <select id="key" value={filters.key ?? ''} onChange={(event) => set({ key: event.target.value || undefined })}>
              <option value="">Any</option>
              {KEYS.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </div>
          <div>
            <label htmlFor="slowest">BPM from</label>
            <input
              id="slowest" type="number" min={20} max={400} inputMode="numeric"
              onChange={(event) => set({ min_tempo_bpm: numberOf(event.target.value) })}
            />
          </div>
          <div>
            <label htmlFor="fastest">BPM to</label>
            <input
              id="fastest" type="number" min={20} max={400} inputMode="numeric"
              onChange={(event) => set({ max_tempo_bpm: numberOf(event.target.value) })}
            />
          </div>
        </div>
      </search>
      {labels.length > 0 && (
        <div className="row" style={{ margin: '1rem 0' }} role="group" aria-label="What is heard">
          {labels.map(({ value, recordings }) => {
            const isChosen = filters.labels?.includes(value) ?? false
            return (
              <button
                key={value} className="chip" aria-pressed={isChosen}
                onClick={() => set({ labels: isChosen ? undefined : [value] })}
              >
                {value} <span className="soft">{recordings}</span>
              </button>
            )
          })}
        </div>
      )}
      <p className="soft" role="status">
        {found.isError
          ? `The search failed: ${found.error.message}`
          : total && `${total.value === 'exactly' ? '' : 'At least '}${total.recordings} found`}
      </p>
      {rows.length > 0 && (
        <ul className="list" aria-label="Found">
          {rows.map((recording) => (
            <li key={recording.id}>
              <RecordingItem recording={recording} />
            </li>
          ))}
        </ul>
      )}
      {found.hasNextPage && (
        <button style={{ marginTop: '1rem' }} onClick={() => void found.fetchNextPage()}>
          Show more
        </button>
      )}
    </>
  )

  function set(some: { [K in keyof Filters]?: Filters[K] | undefined }) {
    setFilters((all) => Object.fromEntries(Object.entries({ ...all, ...some }).filter(([, value]) => value !== undefined)))
  }
}

function numberOf(text: string): number | undefined {
  const value = Number(text)
  return text && Number.isFinite(value) ? value : undefined
}
