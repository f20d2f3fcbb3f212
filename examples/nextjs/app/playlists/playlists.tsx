'use client'

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import Link from 'next/link'
import { useSupabase } from '@/app/providers'

export function Playlists() {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const list = useQuery({
    queryKey: ['playlists'],
    queryFn: async () => {
      const { data: session } = await supabase.auth.getSession()
      const { data, error } = await supabase
        .from('playlists')
        .select('id, title, description, is_public')
        .eq('user_id', session.session!.user.id)
        .order('title')
      if (error) throw error
      return data
    },
  })
  const add = useMutation({
    mutationFn: async (title: string) => {
      const { error } = await supabase.from('playlists').insert({ title })
      if (error) throw error
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: ['playlists'] }),
  })
  return (
    <>
      <form
        className="row"
        onSubmit={(event) => {
          event.preventDefault()
          add.mutate(String(new FormData(event.currentTarget).get('title')).trim())
          event.currentTarget.reset()
        }}
      >
        <label htmlFor="title" className="visually-hidden">
          Title of a new playlist
        </label>
        <input id="title" name="title" placeholder="Night" maxLength={200} required style={{ width: '18rem' }} />
        <button className="primary">Make a playlist</button>
      </form>
      {(add.isError || list.isError) && (
        <p className="notice bad" role="alert">{(add.error ?? list.error)?.message}</p>
      )}
      {list.data?.length === 0 && <p className="soft" style={{ marginTop: '1rem' }}>No playlists yet.</p>}
      {list.data && list.data.length > 0 && (
        <ul className="list" style={{ marginTop: '1rem' }}>
          {list.data.map((playlist) => (
            <li key={playlist.id} className="item">
              <Link className="title" href={`/playlists/${playlist.id}`} dir="auto">
                {playlist.title}
              </Link>
              <span className="soft" dir="auto">{playlist.description}</span>
              <span className="soft small">{playlist.is_public ? 'Public' : 'Private'}</span>
            </li>
          ))}
        </ul>
      )}
    </>
  )
}
