'use client'

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState, type KeyboardEvent } from 'react'
import { useSupabase } from '@/app/providers'
import { Icon } from '@/components/icons'
import { RecordingItem } from '@/components/recording-item'
import { LISTED, type Listed } from '@/lib/soundscape/listed'

interface Item {
  id: string
  position: number
  recording: Listed
}

const PAGE_ROWS = 500

/** A playlist in its order. Drag a recording by its handle, or focus the handle and press the arrow keys. */
export function Playlist({ id, isOwner }: { id: string; isOwner: boolean }) {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const [dragged, setDragged] = useState<string | null>(null)
  const [over, setOver] = useState<string | null>(null)
  const [said, setSaid] = useState('')
  const items = useQuery({
    queryKey: ['playlist', id],
    queryFn: async (): Promise<Item[]> => {
      // One answer has at most the project's max_rows, which is 1,000 unless it says otherwise.
      const rows = []
      for (let total = 1; rows.length < total; ) {
        const { data, error, count } = await supabase
          .from('playlist_items')
          .select(`id, position, audio_files(${LISTED})`, { count: 'exact' })
          .eq('playlist_id', id)
          .order('position')
          .range(rows.length, rows.length + PAGE_ROWS - 1)
        if (error) throw error
        rows.push(...data)
        total = data.length === 0 ? 0 : (count ?? 0)
      }
      // A recording that its owner hid from us is null.
      return rows.flatMap(({ id, position, audio_files }) =>
        audio_files ? [{ id, position, recording: audio_files as Listed }] : [],
      )
    },
  })
  const changed = () => queries.invalidateQueries({ queryKey: ['playlist', id] })
  const move = useMutation({
    mutationFn: async ({ item, place }: { item: Item; place: number }) => {
      const { error } = await supabase.rpc('move_playlist_item', { item: item.id, to_position: place })
      if (error) throw error
    },
    // The row is where it was dropped at once; the project's answer follows.
    onMutate: ({ item, place }) => {
      queries.setQueryData<Item[]>(['playlist', id], (all = []) => {
        const others = all.filter((each) => each.id !== item.id)
        return [...others.slice(0, place - 1), item, ...others.slice(place - 1)]
      })
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
  const all = items.data ?? []

  function press(event: KeyboardEvent, index: number) {
    const target = event.key === 'ArrowUp' ? index - 1 : event.key === 'ArrowDown' ? index + 1 : index
    const item = all[index]
    if (target === index || !item || !all[target]) return
    event.preventDefault()
    setSaid(`${item.recording.title} is number ${target + 1} of ${all.length}.`)
    move.mutate({ item, place: target + 1 })
  }

  if (items.isError) return <p className="notice bad" role="alert">The playlist could not be read: {items.error.message}</p>
  if (items.isPending) return <p className="soft">Reading …</p>
  if (all.length === 0) {
    return (
      <div className="empty">
        <Icon name="playlists" />
        <p>Nothing in it yet. Add recordings from their pages.</p>
      </div>
    )
  }
  return (
    <>
      {(move.isError || remove.isError) && (
        <p className="notice bad" role="alert">{(move.error ?? remove.error)?.message}</p>
      )}
      <p className="visually-hidden" role="status">{said}</p>
      <ol className="list" aria-label="Recordings">
        {all.map((item, index) => (
          <li
            key={item.id} draggable={isOwner} data-dragged={dragged === item.id} data-over={over === item.id && dragged !== item.id}
            onDragStart={(event) => {
              setDragged(item.id)
              event.dataTransfer.effectAllowed = 'move'
              // Firefox drags only what carries something.
              event.dataTransfer.setData('text/plain', item.recording.title)
            }}
            onDragOver={(event) => {
              if (!dragged) return
              event.preventDefault()
              setOver(item.id)
            }}
            onDragEnd={() => {
              setDragged(null)
              setOver(null)
            }}
            onDrop={(event) => {
              event.preventDefault()
              const from = all.find((each) => each.id === dragged)
              if (from && from.id !== item.id) move.mutate({ item: from, place: index + 1 })
            }}
          >
            <RecordingItem recording={item.recording} queue={all.map(({ recording }) => recording)} context="playlist">
              {isOwner && (
                <>
                  <button
                    className="plain round handle" onKeyDown={(event) => press(event, index)}
                    aria-label={`Move ${item.recording.title}, number ${index + 1}, with the arrow keys`}
                  >
                    <Icon name="handle" />
                  </button>
                  <button
                    className="plain round" aria-label={`Remove ${item.recording.title}`}
                    onClick={() => remove.mutate(item.id)}
                  >
                    <Icon name="close" />
                  </button>
                </>
              )}
            </RecordingItem>
          </li>
        ))}
      </ol>
    </>
  )
}
