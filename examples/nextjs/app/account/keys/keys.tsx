'use client'

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import type { FormEvent } from 'react'
import { useSupabase, useUserId } from '@/app/providers'
import { ago } from '@/lib/soundscape/words'

const SCOPES = {
  read: 'Read: what you see',
  upload: 'Upload: read, and add recordings',
  all: 'All: also change and delete',
}
const DAYS = { '30': '30 days', '365': 'a year', '': 'until it is revoked' }

/** Keys for scripts. The secret is shown once; the project keeps only its hash. */
export function Keys() {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const userId = useUserId()
  const keys = useQuery({
    queryKey: ['keys', userId],
    queryFn: async () => {
      const { data, error } = await supabase
        .from('api_keys').select('id, name, prefix, scope, created_at, last_used_at, expires_at, revoked_at')
        .order('created_at', { ascending: false })
      if (error) throw error
      return data
    },
  })
  const changed = () => queries.invalidateQueries({ queryKey: ['keys'] })
  const make = useMutation({
    mutationFn: async (form: FormData) => {
      const days = Number(form.get('days'))
      const { data, error } = await supabase
        .rpc('create_api_key', {
          name: String(form.get('name')).trim(),
          scope: String(form.get('scope')),
          ...(days ? { expires_at: new Date(Date.now() + days * 86_400_000).toISOString() } : {}),
        })
        .single()
      if (error) throw error
      return data
    },
    onSuccess: changed,
  })
  const revoke = useMutation({
    mutationFn: async (key: string) => {
      const { error } = await supabase.rpc('revoke_api_key', { key })
      if (error) throw error
    },
    onSuccess: changed,
  })

  function send(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const form = event.currentTarget
    make.mutate(new FormData(form), { onSuccess: () => form.reset() })
  }

  const problem = make.error ?? revoke.error
  return (
    <div className="stack" style={{ maxWidth: '44rem' }}>
      <p className="lead">With a key, a script can use your account. It can never delete the account or make more keys.</p>
      <form className="card stack" onSubmit={send}>
        <div className="fields">
          <div>
            <label htmlFor="name">What it is for</label>
            <input id="name" name="name" required maxLength={80} dir="auto" />
          </div>
          <div>
            <label htmlFor="scope">What it may do</label>
            <select id="scope" name="scope">
              {Object.entries(SCOPES).map(([scope, label]) => (
                <option key={scope} value={scope}>{label}</option>
              ))}
            </select>
          </div>
          <div>
            <label htmlFor="days">For how long</label>
            <select id="days" name="days">
              {Object.entries(DAYS).map(([days, label]) => (
                <option key={days} value={days}>{label}</option>
              ))}
            </select>
          </div>
        </div>
        <button className="primary" style={{ justifySelf: 'start' }} disabled={make.isPending}>Make a key</button>
      </form>
      {problem && <p className="notice bad" role="alert">{problem.message}</p>}
      <div role="status">
        {make.data && (
          <div className="notice">
            <strong>Copy the key now. It is not shown again.</strong>
            <code data-testid="key" style={{ display: 'block', overflowWrap: 'anywhere', marginTop: '0.5rem' }}>{make.data.key}</code>
          </div>
        )}
      </div>
      {keys.isError ? (
        <p className="notice bad" role="alert">The keys could not be read: {keys.error.message}</p>
      ) : keys.isPending ? (
        <p className="soft">Loading …</p>
      ) : keys.data.length === 0 ? (
        <div className="empty">No keys yet.</div>
      ) : (
        <ul className="list" aria-label="API keys">
          {keys.data.map((key) => (
            <li key={key.id} className="sending">
              <div style={{ minWidth: 0 }}>
                <div className="title" dir="auto">{key.name}</div>
                <div className="small soft">
                  <code>{key.prefix}…</code> · {key.scope} · made {ago(key.created_at)} ·{' '}
                  {key.last_used_at ? `used ${ago(key.last_used_at)}` : 'never used'}
                  {key.expires_at && ` · ends ${new Date(key.expires_at).toLocaleDateString('en', { dateStyle: 'medium' })}`}
                </div>
              </div>
              {key.revoked_at ? (
                <span className="badge">Revoked</span>
              ) : (
                <button className="plain bad" aria-label={`Revoke ${key.name}`} onClick={() => revoke.mutate(key.id)}>
                  Revoke
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}
