'use client'

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useSupabase } from '@/app/providers'
import { LISTED, RecordingItem, type Listed } from '@/components/recording-item'

/** A playlist in its order. Drag a recording, or move it with its buttons. */
export function Playlist({ id }: { id: string }) {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const [dragged, setDragged] = useState<string | null>(null)
  const items = useQuery({
    queryKey: ['playlist', id],
    queryFn: async () => {
      const { data, error } = await supabase
        .from('playlist_items')
        .select(`id, position, audio_files(${LISTED})`)
        .eq('playlist_id', id)
        .order('position')
      if (error) throw error
      // A recording that its owner hid from us is null.
      return data.flatMap((item) => (item.audio_files ? [{ ...item, recording: item.audio_files as Listed }] : []))
    },
  })
  const changed = () => queries.invalidateQueries({ queryKey: ['playlist', id] })
  const move = useMutation({
    mutationFn: async ({ item, place }: { item: string; place: number }) => {
      const { error } = await supabase.rpc('move_playlist_item', { item, to_position: place })
      if (error) throw error
    },
    onSettled: changed,
  })
  const remove = useMutation({
    mutationFn: async (item: string) => {
      const { error } = await supabase.from('playlist_items').delete().eq('id', item)
      if (error) throw error
    },
    onSettled: changed,
  })
  if (items.data?.length === 0) return <p className="soft">Nothing in it yet. Add recordings from their pages.</p>
  return (
    <>
      {(move.isError || remove.isError) && (
        <p className="notice bad" role="alert">{(move.error ?? remove.error)?.message}</p>
      )}
      <ol className="list">
        {items.data?.map((item, index) => (
          <li
            key={item.id}
            draggable
            onDragStart={() => setDragged(item.id)}
            onDragOver={(event) => event.preventDefault()}
            onDrop={() => dragged && dragged !== item.id && move.mutate({ item: dragged, place: index + 1 })}
          >
            <RecordingItem recording={item.recording}>
              <button
                aria-label={`Move ${item.recording.title} up`} disabled={index === 0}
                onClick={() => move.mutate({ item: item.id, place: index })}
              >
                ↑
              </button>
              <button
                aria-label={`Move ${item.recording.title} down`} disabled={index === items.data.length - 1}
                onClick={() => move.mutate({ item: item.id, place: index + 2 })}
              >
                ↓
              </button>
              <button
                className="plain" aria-label={`Remove ${item.recording.title}`}
                onClick={() => remove.mutate(item.id)}
              >
                Remove
              </button>
            </RecordingItem>
          </li>
        ))}
      </ol>
    </>
  )
}
