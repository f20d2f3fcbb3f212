'use client'

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useRouter } from 'next/navigation'
import { useState } from 'react'
import { useSupabase } from '@/app/providers'
import { addressOf } from '@/lib/soundscape/recording'

interface Props {
  id: string
  filePath: string
  title: string
  isPublic: boolean
  isOwner: boolean
  isMember: boolean
  status: string
}

/** What can be done with a recording: for everybody, for members, and for its owner. */
export function Actions({ id, filePath, title, isPublic, isOwner, isMember, status }: Props) {
  const supabase = useSupabase()
  const router = useRouter()
  const queries = useQueryClient()
  const [said, setSaid] = useState('')
  const playlists = useQuery({
    queryKey: ['playlists', 'mine'],
    enabled: isMember,
    queryFn: async () => {
      const { data: session } = await supabase.auth.getSession()
      const { data, error } = await supabase
        .from('playlists').select('id, title').eq('user_id', session.session?.user.id ?? '').order('title')
      if (error) throw error
      return data
    },
  })
  const act = useMutation({
    mutationFn: async ({ work, done }: { work: () => PromiseLike<{ error: { message: string } | null }>; done: string }) => {
      const { error } = await work()
      if (error) throw new Error(error.message)
      return done
    },
    onSuccess: (done) => {
      setSaid(done)
      void queries.invalidateQueries()
      router.refresh()
    },
    onError: (error) => setSaid(error.message),
  })

  async function download() {
    const url = await addressOf(supabase, filePath)
    if (!url) return setSaid('The file is not there.')
    const suffix = /\.[a-z0-9]+$/i.exec(filePath)?.[0] ?? ''
    location.assign(`${url}&download=${encodeURIComponent(title + suffix)}`)
  }

  return (
    <div className="row" style={{ marginTop: '1rem' }}>
      <button onClick={() => void download()}>Download</button>
      {isMember && (
        <button
          onClick={() =>
            act.mutate({
              work: () => supabase.from('likes').upsert({ audio_id: id }, { onConflict: 'user_id,audio_id', ignoreDuplicates: true }),
              done: 'Liked.',
            })
          }
        >
          Like
        </button>
      )}
      {isMember && (playlists.data?.length ?? 0) > 0 && (
        <select
          aria-label="Add to a playlist" value="" style={{ width: 'auto' }}
          onChange={(event) => {
            const playlist = event.target.value
            act.mutate({
              work: () => supabase.from('playlist_items').insert({ playlist_id: playlist, audio_id: id }),
              done: 'Added to the playlist.',
            })
          }}
        >
          <option value="">Add to a playlist …</option>
          {playlists.data?.map((playlist) => (
            <option key={playlist.id} value={playlist.id}>
              {playlist.title}
            </option>
          ))}
        </select>
      )}
      {isOwner && (
        <>
          <button
            onClick={() =>
              act.mutate({
                work: () => supabase.from('audio_files').update({ is_public: !isPublic }).eq('id', id),
                done: isPublic ? 'It is private now.' : 'It is public now.',
              })
            }
          >
            {isPublic ? 'Make private' : 'Publish'}
          </button>
          {(status === 'failed' || status === 'rejected') && (
            <button
              onClick={() =>
                act.mutate({ work: () => supabase.rpc('retry_analysis', { recording: id }), done: 'It is analysed again.' })
              }
            >
              Try again
            </button>
          )}
          <button
            className="plain bad"
            onClick={async () => {
              if (!confirm(`Delete “${title}”? This cannot be undone.`)) return
              const { error } = await supabase.from('audio_files').delete().eq('id', id)
              if (error) return setSaid(error.message)
              await queries.invalidateQueries()
              router.push('/library')
            }}
          >
            Delete
          </button>
        </>
      )}
      <span role="status" className="soft">
        {said}
      </span>
    </div>
  )
}
