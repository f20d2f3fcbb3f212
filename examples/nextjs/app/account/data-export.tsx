'use client'

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useSupabase, useUserId } from '@/app/providers'
import { ago, bytes } from '@/lib/soundscape/words'

/** No message tells how far an export is, so it is looked at while it runs. */
const LOOK_EVERY_MS = 2000
const ADDRESS_LIVES_S = 600

/** A zip of everything the reader has: all rows as JSON, and the files they uploaded. */
export function DataExport() {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const userId = useUserId()
  const { data: last } = useQuery({
    queryKey: ['export', userId],
    queryFn: async () => {
      const { data, error } = await supabase
        .from('exports').select('id, status, file_path, stored_bytes, size_bytes, error_message, created_at')
        .order('created_at', { ascending: false }).limit(1).maybeSingle()
      if (error) throw error
      return data
    },
    refetchInterval: ({ state }) => (state.data && !isOver(state.data.status) ? LOOK_EVERY_MS : false),
  })
  const ask = useMutation({
    mutationFn: async () => {
      const { error } = await supabase.rpc('export_my_data')
      if (error) throw error
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: ['export'] }),
  })
  const save = useMutation({
    mutationFn: async (path: string) => {
      const { data, error } = await supabase.storage.from('exports').createSignedUrl(path, ADDRESS_LIVES_S, { download: 'soundscape.zip' })
      if (error) throw error
      location.assign(data.signedUrl)
    },
  })
  const isRunning = last != null && !isOver(last.status)
  const problem = ask.error ?? save.error
  return (
    <section className="card stack">
      <h2 style={{ margin: 0 }}>Your data</h2>
      <p className="soft" style={{ margin: 0 }}>A zip file of all your data: your rows of every table as JSON, and the files that you uploaded.</p>
      <div role="status" className="soft">
        {isRunning && `Being written, ${bytes(last.stored_bytes)} so far …`}
        {last?.status === 'ready' && `Ready: ${bytes(last.size_bytes)}, asked for ${ago(last.created_at)}. It is kept for a week.`}
        {last?.status === 'failed' && <span className="bad">{last.error_message ?? 'It could not be written.'}</span>}
      </div>
      {problem && <p className="notice bad" role="alert" style={{ margin: 0 }}>{problem.message}</p>}
      <div className="row">
        <button disabled={isRunning || ask.isPending} onClick={() => ask.mutate()}>Export everything</button>
        {last?.status === 'ready' && last.file_path && (
          <button className="primary" onClick={() => save.mutate(last.file_path!)}>Download the zip</button>
        )}
      </div>
    </section>
  )
}

function isOver(status: string): boolean {
  return status !== 'queued' && status !== 'running'
}
