'use client'

import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { useDeferredValue, useEffect, useState } from 'react'
import { useSupabase } from '@/app/providers'
import { Icon } from '@/components/icons'
import { RecordingList } from '@/components/recording-list'
import type { Licence } from '@/lib/soundscape/database'
import { readListed } from '@/lib/soundscape/listed'

const PAGE = 30
const KEYS = ['C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B']
const SORTS = { relevance: 'Best first', newest: 'Newest', title: 'Title', duration: 'Shortest', tempo: 'Slowest' }

interface Filters {
  labels?: string[]
  license?: Licence
  key?: string
  mode?: string
  sort?: string
  min_tempo_bpm?: number
  max_tempo_bpm?: number
  min_duration_s?: number
  max_duration_s?: number
}

/** Search by words and by what was measured, with the facets of what was found. */
export function Search({ initial }: { initial: string }) {
  const supabase = useSupabase()
  const [typed, setTyped] = useState(initial)
  const [filters, setFilters] = useState<Filters>({})
  const query = useDeferredValue(typed.trim())
  const args = { ...(query ? { query } : {}), ...filters }
  const { sort: _, ...counted } = args

  // A search can be sent to somebody, and is there again after a reload.
  useEffect(() => {
    history.replaceState(null, '', query ? `?q=${encodeURIComponent(query)}` : location.pathname)
  }, [query])

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
    queryKey: ['facets', counted],
    queryFn: async () => {
      const { data, error } = await supabase.rpc('search_facets', counted)
      if (error) throw error
      return data
    },
  })

  const rows = found.data?.pages.flatMap((page) => page.rows) ?? []
  const facet = (name: string) => (facets.data ?? []).filter((row) => row.facet === name)
  const total = facet('all')[0]
  const chosenCount = Object.keys(filters).length
  return (
    <>
      <search className="stack">
        <div>
          <label htmlFor="q" className="visually-hidden">Words</label>
          <input
            id="q" type="search" value={typed} placeholder='Rain, "at night", -thunder'
            style={{ minHeight: '3.25rem', fontSize: '1.125rem', borderRadius: '999px', paddingInline: '1.5rem' }}
            onChange={(event) => setTyped(event.target.value)}
          />
        </div>
        <div className="fields">
          <Choice label="Sort" value={filters.sort} any={query ? 'Best first' : 'Newest'} onChange={(sort) => set({ sort })}
            options={Object.entries(SORTS).map(([value, label]) => ({ value, label }))} />
          <Choice label="Key" value={filters.key} any="Any" onChange={(key) => set({ key })}
            options={KEYS.map((value) => ({ value, label: value }))} />
          <Choice label="Mode" value={filters.mode} any="Any" onChange={(mode) => set({ mode })}
            options={[{ value: 'major', label: 'Major' }, { value: 'minor', label: 'Minor' }]} />
          <Amount label="BPM from" onChange={(min_tempo_bpm) => set({ min_tempo_bpm })} />
          <Amount label="BPM to" onChange={(max_tempo_bpm) => set({ max_tempo_bpm })} />
          <Amount label="Seconds from" onChange={(min_duration_s) => set({ min_duration_s })} />
          <Amount label="Seconds to" onChange={(max_duration_s) => set({ max_duration_s })} />
          {facet('license').length > 0 && (
            <Choice label="Licence" value={filters.license} any="Any" onChange={(license) => set({ license: license as Licence | undefined })}
              options={facet('license').map(({ value, recordings }) => ({ value, label: `${value} (${recordings})` }))} />
          )}
        </div>
        {facet('label').length > 0 && (
          <div className="row" role="group" aria-label="What is heard" style={{ gap: '0.5rem' }}>
            {facet('label').slice(0, 14).map(({ value, recordings }) => {
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
      </search>
      <p className="soft" role="status" style={{ margin: '1.5rem 0 0.75rem' }}>
        {found.isError
          ? `The search failed: ${found.error.message}`
          : total && `${total.value === 'exactly' ? '' : 'At least '}${total.recordings} found`}
      </p>
      {found.isSuccess && rows.length === 0 && (
        <div className="empty">
          <Icon name="search" />
          <p>Nothing fits{query && ` “${query}”`}{chosenCount > 0 && ' with these filters'}. Try other words{chosenCount > 0 && ' or fewer filters'}.</p>
        </div>
      )}
      {rows.length > 0 && <RecordingList recordings={rows} context="search" label="Found" />}
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

function Choice({ label, value, any, options, onChange }: {
  label: string
  value: string | undefined
  any: string
  options: { value: string; label: string }[]
  onChange: (value: string | undefined) => void
}) {
  const id = `filter-${label.toLowerCase()}`
  return (
    <div>
      <label htmlFor={id}>{label}</label>
      <select id={id} value={value ?? ''} onChange={(event) => onChange(event.target.value || undefined)}>
        <option value="">{any}</option>
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
    </div>
  )
}

function Amount({ label, onChange }: { label: string; onChange: (value: number | undefined) => void }) {
  const id = `filter-${label.toLowerCase().replace(' ', '-')}`
  return (
    <div>
      <label htmlFor={id}>{label}</label>
      <input id={id} type="number" min={0} inputMode="numeric" onChange={(event) => onChange(numberOf(event.target.value))} />
    </div>
  )
}

function numberOf(text: string): number | undefined {
  const value = Number(text)
  return text && Number.isFinite(value) ? value : undefined
}
