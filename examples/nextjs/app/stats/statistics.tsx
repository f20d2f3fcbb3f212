'use client'

import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useSupabase, useUserId } from '@/app/providers'
import { Icon } from '@/components/icons'
import { Link } from '@/components/link'
import { fillDays, lastDays, QUARTERS, SOURCES, sumOf } from '@/lib/soundscape/statistics'
import { problemOf } from '@/lib/soundscape/words'
import { PlaysChart, SharesTable } from './charts'

const PERIODS = { 7: 'Seven days', 28: 'Four weeks', 90: 'Three months', 365: 'A year' } as const
type Period = keyof typeof PERIODS

/** How often the reader's recordings are heard, from where and how far. Nothing says by whom. */
export function Statistics() {
  const supabase = useSupabase()
  const userId = useUserId()
  const [period, setPeriod] = useState<Period>(28)
  const [recording, setRecording] = useState('')
  const recordings = useQuery({
    queryKey: ['statistics', 'recordings', userId],
    queryFn: async () => {
      const { data, error } = await supabase
        .from('audio_files').select('id, title, audio_stats!inner(plays, listener_days, likes, downloads)')
        .eq('user_id', userId ?? '').limit(1000)
      if (error) throw error
      return data.sort((a, b) => (b.audio_stats?.plays ?? 0) - (a.audio_stats?.plays ?? 0))
    },
  })
  const figures = useQuery({
    queryKey: ['statistics', userId, period, recording],
    refetchInterval: 60_000,
    queryFn: async () => {
      const days = lastDays(period)
      const { data, error } = await supabase.rpc('my_audio_stats', {
        from: days[0]!, to: days.at(-1)!, ...(recording ? { recording } : {}),
      })
      if (error) throw error
      return { rows: data, days: fillDays(days, data) }
    },
  })
  const problem = recordings.error ?? figures.error
  if (problem) return <p className="notice bad" role="alert">Your statistics could not be read: {problemOf(problem)}</p>
  if (!recordings.data || !figures.data) return <p className="soft pulse">Loading …</p>
  if (recordings.data.length === 0) {
    return (
      <div className="empty">
        <Icon name="play" />
        <p>Nobody has played your recordings yet. Plays appear here within ten minutes.</p>
      </div>
    )
  }
  const { rows, days } = figures.data
  const total = (name: 'plays' | 'listeners' | 'downloads') => days.reduce((sum, day) => sum + day[name], 0)
  const shares = <Name extends keyof typeof SOURCES | keyof typeof QUARTERS>(names: Record<Name, string>) =>
    (Object.entries(names) as [Name, string][]).map(([name, words]) => [words, sumOf(rows, name)] as const)
  const told = (list: (readonly [string, number | null])[]) =>
    list.every(([, count]) => count === null) ? null : list.map(([words, count]): [string, number] => [words, count ?? 0])
  const [sources, quarters] = [told(shares(SOURCES)), told(shares(QUARTERS))]
  return (
    <>
      <form className="row" style={{ marginBottom: '1rem' }} onSubmit={(event) => event.preventDefault()}>
        <label>
          Period
          <select value={period} onChange={(event) => setPeriod(Number(event.target.value) as Period)}>
            {Object.entries(PERIODS).map(([days, words]) => <option key={days} value={days}>{words}</option>)}
          </select>
        </label>
        <label>
          Recording
          <select value={recording} onChange={(event) => setRecording(event.target.value)}>
            <option value="">All recordings</option>
            {recordings.data.map(({ id, title }) => <option key={id} value={id}>{title}</option>)}
          </select>
        </label>
      </form>
      <dl className="figures" style={{ marginBottom: '1rem' }}>
        <div>
          <dt>Plays</dt>
          <dd>{total('plays').toLocaleString('en')}</dd>
          <dd className="words">30 seconds, or half of a shorter one</dd>
        </div>
        <div>
          <dt>Listeners, day by day</dt>
          <dd>{total('listeners').toLocaleString('en')}</dd>
          <dd className="words">Summed: the same person counts again each day</dd>
        </div>
        <div>
          <dt>Downloads</dt>
          <dd>{total('downloads').toLocaleString('en')}</dd>
          <dd className="words">From feeds and direct links</dd>
        </div>
      </dl>
      <section className="card" aria-labelledby="plays">
        <h2 id="plays" style={{ marginTop: 0 }}>Plays by day</h2>
        <PlaysChart days={days} />
        <details>
          <summary>The numbers as a table</summary>
          <div style={{ overflowX: 'auto' }} tabIndex={0} role="region" aria-label="Figures by day">
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">Day (UTC)</th>
                  <th scope="col">Plays</th>
                  <th scope="col">Listeners</th>
                  <th scope="col">Downloads</th>
                </tr>
              </thead>
              <tbody>
                {days.filter(({ plays, downloads }) => plays + downloads > 0).reverse().map((day) => (
                  <tr key={day.day}>
                    <th scope="row">{day.day}</th>
                    <td>{day.plays}</td>
                    <td>{day.listeners}</td>
                    <td>{day.downloads}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </details>
      </section>
      <h2>Where listeners came from, and how far they listened</h2>
      <p className="soft small">
        Known one day later, and only for days on which a recording had at least three listeners, so that nobody learns
        what one person did.
      </p>
      {sources && quarters ? (
        <div className="cards">
          <div className="card"><SharesTable caption="Where from" rows={sources} /></div>
          <div className="card"><SharesTable caption="How far" rows={quarters} /></div>
        </div>
      ) : (
        <div className="empty">No day in this period had enough listeners.</div>
      )}
      <h2>Recordings</h2>
      <div className="card" style={{ overflowX: 'auto' }} tabIndex={0} role="region" aria-label="Recordings">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">Recording</th>
              <th scope="col">Plays</th>
              <th scope="col">Likes</th>
              <th scope="col">Downloads</th>
            </tr>
          </thead>
          <tbody>
            {recordings.data.map(({ id, title, audio_stats: stats }) => (
              <tr key={id}>
                <th scope="row"><Link href={`/recordings/${id}`} dir="auto">{title}</Link></th>
                <td>{stats?.plays ?? 0}</td>
                <td>{stats?.likes ?? 0}</td>
                <td>{stats?.downloads ?? 0}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  )
}
