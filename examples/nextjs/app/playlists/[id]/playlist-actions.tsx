'use client'

import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useRouter } from 'next/navigation'
import { useSupabase } from '@/app/providers'

/** What its owner can do with a playlist. */
export function PlaylistActions({ id, title, isPublic }: { id: string; title: string; isPublic: boolean }) {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const router = useRouter()
  const change = useMutation({
    mutationFn: async (isDeleted: boolean) => {
      const { error } = isDeleted
        ? await supabase.from('playlists').delete().eq('id', id)
        : await supabase.from('playlists').update({ is_public: !isPublic }).eq('id', id)
      if (error) throw error
      return isDeleted
    },
    onSuccess: async (isDeleted) => {
      await queries.invalidateQueries({ queryKey: ['playlists'] })
      if (isDeleted) router.push('/playlists')
      else router.refresh()
    },
  })
  return (
    <div className="row">
      {change.isError && <span className="bad small" role="alert">{change.error.message}</span>}
      <button onClick={() => change.mutate(false)}>{isPublic ? 'Make private' : 'Publish'}</button>
      <button className="plain bad" onClick={() => confirm(`Delete “${title}”?`) && change.mutate(true)}>
        Delete
      </button>
    </div>
  )
}
