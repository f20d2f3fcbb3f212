'use client'

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState, type FormEvent } from 'react'
import { useSupabase, useUserId } from '@/app/providers'
import { RecordingItem } from '@/components/recording-item'
import type { Client } from '@/lib/soundscape/database'
import { LISTED, type Listed } from '@/lib/soundscape/listed'
import { ago } from '@/lib/soundscape/words'

const TABS = { open: 'Open', assigned: 'Taken', resolved: 'Done' }
type Tab = keyof typeof TABS

/** Reports, and what moderators do about them. Nobody sees reports of their own recordings. */
export function Desk() {
  const supabase = useSupabase()
  const [tab, setTab] = useState<Tab>('open')
  const { data, error, isPending } = useQuery({ queryKey: ['reports', tab], queryFn: () => readReports(supabase, tab) })
  return (
    <>
      <div className="row" role="group" aria-label="Reports" style={{ marginBottom: '1.5rem' }}>
        {Object.entries(TABS).map(([name, label]) => (
          <button key={name} className="chip" aria-pressed={tab === name} onClick={() => setTab(name as Tab)}>
            {label}
          </button>
        ))}
      </div>
      {error ? (
        <p className="notice bad" role="alert">The reports could not be read: {error.message}</p>
      ) : isPending ? (
        <p className="soft">Loading …</p>
      ) : data.length === 0 ? (
        <div className="empty">No reports here.</div>
      ) : (
        <div className="stack">
          {data.map((report) => (
            <ReportCard key={report.id} report={report} />
          ))}
        </div>
      )}
    </>
  )
}

async function readReports(supabase: Client, tab: Tab) {
  const { data, error } = await supabase
    .from('reports')
    .select(`id, reason, details, created_at, status, resolution, resolution_reason, report_assignments(assignee_id), audio_files(${LISTED}, hidden_at, hidden_reason)`)
    .eq('status', tab)
    .order('created_at', { ascending: tab !== 'resolved' })
    .limit(100)
  if (error) throw error
  return data
}

type Report = Awaited<ReturnType<typeof readReports>>[number]

function ReportCard({ report }: { report: Report }) {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const userId = useUserId()
  const recording = report.audio_files
  const assignee = report.report_assignments?.assignee_id
  const act = useMutation({
    mutationFn: async (work: () => PromiseLike<{ error: { message: string } | null }>) => {
      const { error } = await work()
      if (error) throw new Error(error.message)
    },
    onSettled: () => queries.invalidateQueries({ queryKey: ['reports'] }),
  })

  function resolve(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const form = new FormData(event.currentTarget, (event.nativeEvent as SubmitEvent).submitter)
    const [resolution, reason] = [String(form.get('resolution')), String(form.get('why')).trim()]
    act.mutate(() => supabase.rpc('resolve_report', { report: report.id, resolution, reason }))
  }

  return (
    <article className="card stack" aria-label={`Report of ${recording?.title ?? 'a private recording'}`}>
      <div className="row spread">
        <span className="row">
          <span className="badge bad">{report.reason}</span>
          <span className="soft small">{ago(report.created_at)}</span>
          {assignee && <span className="badge">{assignee === userId ? 'You have it' : 'Somebody has it'}</span>}
        </span>
        {report.status !== 'resolved' && (
          <button
            onClick={() =>
              act.mutate(() =>
                assignee === userId
                  ? supabase.rpc('assign_report', { report: report.id, assignee: null as unknown as string })
                  : supabase.rpc('assign_report', { report: report.id }),
              )
            }
          >
            {assignee === userId ? 'Give it back' : 'Take it'}
          </button>
        )}
      </div>
      {report.details && <blockquote dir="auto" style={{ margin: 0 }}>{report.details}</blockquote>}
      {recording ? (
        <div className="list">
          <RecordingItem recording={recording as Listed} note={recording.hidden_at ? 'Hidden' : 'Public'} />
        </div>
      ) : (
        <p className="soft" style={{ margin: 0 }}>The recording is private or was deleted.</p>
      )}
      {report.status === 'resolved' ? (
        <div className="row spread">
          <span>
            {report.resolution === 'hidden' ? 'Hidden' : 'Dismissed'}: <span dir="auto">{report.resolution_reason}</span>
          </span>
          {recording?.hidden_at && (
            <button onClick={() => act.mutate(() => supabase.rpc('restore_recording', { recording: recording.id }))}>
              Restore
            </button>
          )}
        </div>
      ) : (
        <form className="row" onSubmit={resolve}>
          <label htmlFor={`why-${report.id}`} className="visually-hidden">
            Why
          </label>
          <input
            id={`why-${report.id}`} name="why" required maxLength={1000} placeholder="The reason, which the owner will read"
            style={{ flex: '1 1 16rem', width: 'auto' }} dir="auto"
          />
          <button className="primary" name="resolution" value="hidden">
            Hide
          </button>
          <button name="resolution" value="dismissed">
            Dismiss
          </button>
        </form>
      )}
      {act.isError && <p className="bad small" role="alert" style={{ margin: 0 }}>{act.error.message}</p>}
    </article>
  )
}
