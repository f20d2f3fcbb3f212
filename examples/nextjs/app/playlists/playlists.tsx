'use client'

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useSupabase, useUserId } from '@/app/providers'
import { Icon } from '@/components/icons'
import { Link } from '@/components/link'

export function Playlists() {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const userId = useUserId()
  const list = useQuery({
    queryKey: ['playlists', userId],
    queryFn: async () => {
      const { data, error } = await supabase
        .from('playlists')
        .select('id, title, description, is_public')
        .eq('user_id', userId ?? '')
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
        className="row" style={{ marginBottom: '1.5rem' }}
        onSubmit={(event) => {
          event.preventDefault()
          add.mutate(String(new FormData(event.currentTarget).get('title')).trim())
          event.currentTarget.reset()
        }}
      >
        <label htmlFor="title" className="visually-hidden">
          Title of a new playlist
        </label>
        <input id="title" name="title" placeholder="Title, such as Night" maxLength={200} required style={{ width: '18rem' }} dir="auto" />
        <button className="primary">Make a playlist</button>
      </form>
      {(add.isError || list.isError) && (
        <p className="notice bad" role="alert">{(add.error ?? list.error)?.message}</p>
      )}
      {list.isPending && <p className="soft">Loading …</p>}
      {list.data?.length === 0 && (
        <div className="empty">
          <Icon name="playlists" />
          <p>No playlists yet. Type a title above to make the first one.</p>
        </div>
      )}
      {list.data && list.data.length > 0 && (
        <ul className="cards">
          {list.data.map((playlist) => (
            <li key={playlist.id}>
              <Link className="card" href={`/playlists/${playlist.id}`}>
                <strong dir="auto">{playlist.title}</strong>
                <span className="soft small" dir="auto">{playlist.description}</span>
                <span className="soft small">
                  {playlist.is_public ? 'Public' : 'Private'}
                </span>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </>
  )
}
