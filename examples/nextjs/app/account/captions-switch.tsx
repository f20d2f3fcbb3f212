'use client'

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useSupabase } from '@/app/providers'
import { useFlag } from '@/lib/use-flag'

/** Whether a language model may describe the reader's public recordings. */
export function CaptionsSwitch({ userId }: { userId: string }) {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const isOn = useFlag('captions', false)
  const { data } = useQuery({
    queryKey: ['preferences', 'captions', userId],
    queryFn: async () => {
      const { data, error } = await supabase.from('user_preferences').select('captions').eq('user_id', userId).single()
      if (error) throw error
      return data.captions
    },
  })
  const change = useMutation({
    mutationFn: async (captions: boolean) => {
      const { error } = await supabase.from('user_preferences').update({ captions }).eq('user_id', userId)
      if (error) throw error
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: ['preferences'] }),
  })
  if (!isOn || data === undefined) return null
  return (
    <section className="card stack">
      <h2 style={{ margin: 0 }}>Captions</h2>
      <label className="check">
        <input
          type="checkbox" checked={change.isPending ? change.variables : data} disabled={change.isPending}
          onChange={(event) => change.mutate(event.target.checked)}
        />
        A language model may describe my public recordings
      </label>
      <p className="soft small" style={{ margin: 0 }}>
        It gets titles, measured values and tags, never the sound. Private recordings need your yes, one by one.
      </p>
      {change.isError && <p className="notice bad" role="alert">{change.error.message}</p>}
    </section>
  )
}
