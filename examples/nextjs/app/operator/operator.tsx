'use client'

import { useQuery } from '@tanstack/react-query'
import { useSupabase } from '@/app/providers'
import { Link } from '@/components/link'
import { ago, bytes, duration } from '@/lib/soundscape/words'

interface Overview {
  queues: Record<string, { running: number; standing: number; retrying: number; waiting: number; oldest_s: number | null }>
  leases_run_out: number
  ended_in_a_day: Record<string, number>
  dead: Record<string, number>
  recordings: Record<string, number>
  storage: Record<string, { objects: number; bytes: number }>
  dead_letters: {
    job_id: number
    audio_id: string
    error_code: string | null
    error_message: string | null
    attempts: number
    finished_at: string
  }[]
}

const QUEUES: Record<string, string> = { soundscape_uploads: 'Uploads', soundscape_previews: 'Previews', soundscape_backfill: 'Analysed again' }

/** The state of the project, as the database tells an admin. It needs no secret key. */
export function Operator() {
  const supabase = useSupabase()
  const { data, error, isPending } = useQuery({
    queryKey: ['operator'],
    refetchInterval: 10_000,
    queryFn: async () => {
      const { data, error } = await supabase.rpc('operator_overview')
      if (error) throw error
      return data as unknown as Overview
    },
  })
  if (error) return <p className="notice bad" role="alert">The project’s state could not be read: {error.message}</p>
  if (isPending) return <p className="soft">Loading …</p>
  return (
    <>
      <h2>Queue</h2>
      <dl className="figures">
        {Object.entries(data.queues).map(([name, queue]) => (
          <div key={name}>
            <dt>{QUEUES[name] ?? name}</dt>
            <dd>{queue.running} running</dd>
            <dd className="words">
              {queue.standing + queue.waiting} waiting, {queue.retrying} to be tried again
              {queue.oldest_s !== null && `, the oldest for ${duration(queue.oldest_s)}`}
            </dd>
          </div>
        ))}
        <div>
          <dt>Finished in 24 hours</dt>
          <dd>{Object.values(data.ended_in_a_day).reduce((sum, jobs) => sum + jobs, 0)} jobs</dd>
          <dd className="words">{listed(data.ended_in_a_day)}</dd>
        </div>
        <div>
          <dt>Expired leases</dt>
          <dd>{data.leases_run_out}</dd>
        </div>
      </dl>
      <h2>Dead letters</h2>
      {data.dead_letters.length === 0 ? (
        <div className="empty">None. No job has used up its attempts.</div>
      ) : (
        <div className="card" style={{ overflowX: 'auto' }} tabIndex={0} role="region" aria-label="Dead letters">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Job</th>
                <th scope="col">Why</th>
                <th scope="col">Attempts</th>
                <th scope="col">When</th>
              </tr>
            </thead>
            <tbody>
              {data.dead_letters.map((letter) => (
                <tr key={letter.job_id}>
                  <td>
                    <Link href={`/recordings/${letter.audio_id}`}>{letter.job_id}</Link>
                  </td>
                  <td>
                    {letter.error_code}: {letter.error_message}
                  </td>
                  <td>{letter.attempts}</td>
                  <td>{ago(letter.finished_at)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <p className="soft small" style={{ margin: '1rem 0 0' }}>
            Re-queue them with <code>soundscape jobs retry</code>.
          </p>
        </div>
      )}
      <h2>Recordings and storage</h2>
      <dl className="figures">
        <div>
          <dt>Recordings</dt>
          <dd>{Object.values(data.recordings).reduce((sum, count) => sum + count, 0).toLocaleString('en')}</dd>
          <dd className="words">{listed(data.recordings)}</dd>
        </div>
        {Object.entries(data.storage).map(([bucket, stored]) => (
          <div key={bucket}>
            <dt>{bucket}</dt>
            <dd>{bytes(stored.bytes)}</dd>
            <dd className="words">{stored.objects.toLocaleString('en')} objects</dd>
          </div>
        ))}
      </dl>
    </>
  )
}

function listed(counts: Record<string, number>): string {
  return Object.entries(counts).map(([name, count]) => `${count} ${name.replaceAll('_', ' ')}`).join(', ')
}
