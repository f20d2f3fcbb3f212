'use client'

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useSupabase } from '@/app/providers'
import { useFlag } from '@/lib/use-flag'
import { captionQuery } from './queries'

const WHY: Record<string, string> = {
  no_key: 'This project has no language model.',
  switched_off: 'Captions are switched off for it.',
  private: 'It is private, and you have not allowed it.',
  not_ready: 'It has not been analysed yet.',
}

/** A sentence or two about a recording, by a language model or its owner. Always text, never markup. */
export function Caption({ id, isOwner, isSwitchedOn }: { id: string; isOwner: boolean; isSwitchedOn: boolean }) {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const isOn = useFlag('captions', isSwitchedOn)
  const [isEditing, setEditing] = useState(false)
  const { data } = useQuery({
    ...captionQuery(supabase, id),
    refetchInterval: (query) => (query.state.data?.status === 'queued' ? 5000 : false),
  })
  const reread = () => queries.invalidateQueries({ queryKey: ['caption', id] })
  const decide = useMutation({
    mutationFn: async (wanted: boolean) => {
      const { error } = await supabase.rpc('set_captions', { recording: id, wanted })
      if (error) throw error
    },
    onSuccess: reread,
  })
  const write = useMutation({
    mutationFn: async (caption: string) => {
      const { error } = await supabase.rpc('replace_caption', { recording: id, caption, keywords: data?.keywords ?? [] })
      if (error) throw error
    },
    onSuccess: () => {
      setEditing(false)
      return reread()
    },
  })
  const isWanted = data?.is_wanted ?? (data?.status !== 'skipped' || data.error_code === 'no_key')
  const problem = decide.error ?? write.error
  if (!isOn && !data?.is_by_owner) return null
  if (!data?.caption && !isOwner) return null
  return (
    <section aria-label="Caption" className="stack">
      {data?.caption && (
        <p style={{ margin: 0 }}>
          <span dir="auto">{data.caption}</span>{' '}
          <span className="small soft">{data.is_by_owner ? '' : '— written by a language model that did not hear it'}</span>
        </p>
      )}
      {isOwner && (
        <>
          <div className="row small">
            {!data?.caption && (
              <span className="soft">
                {data?.status === 'queued' ? 'A caption is being written.' : `No caption. ${WHY[data?.error_code ?? ''] ?? 'The model gave none.'}`}
              </span>
            )}
            {isOn && (
              <label className="check">
                <input
                  type="checkbox" checked={decide.isPending ? decide.variables : isWanted} disabled={decide.isPending}
                  onChange={(event) => decide.mutate(event.target.checked)}
                />
                A language model may describe it
              </label>
            )}
            <button className="plain" onClick={() => setEditing(!isEditing)} aria-expanded={isEditing}>
              Write it yourself
            </button>
          </div>
          {isEditing && (
            <form
              className="stack"
              onSubmit={(event) => {
                event.preventDefault()
                write.mutate(String(new FormData(event.currentTarget).get('caption')))
              }}
            >
              <div>
                <label htmlFor="caption">Caption</label>
                <textarea id="caption" name="caption" defaultValue={data?.caption ?? ''} maxLength={500} required dir="auto" />
              </div>
              <button className="primary" style={{ justifySelf: 'start' }} disabled={write.isPending}>Save the caption</button>
            </form>
          )}
          {problem && <p className="notice bad" role="alert">{problem.message}</p>}
        </>
      )}
    </section>
  )
}
