'use client'

import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useRouter } from 'next/navigation'
import { useRef, useState, type FormEvent } from 'react'
import { useSupabase, useUserId } from '@/app/providers'
import { Icon } from '@/components/icons'
import { Menu } from '@/components/menu'
import type { Recording, ReportReason } from '@/lib/soundscape/database'
import { downloadAddressOf } from '@/lib/soundscape/recording'
import { EditForm } from './edit-form'
import { likeQuery, playlistsQuery } from './queries'

export type Shown = Pick<
  Recording,
  | 'id' | 'file_path' | 'title' | 'status' | 'description' | 'tags' | 'license' | 'attribution' | 'is_public' | 'recorded_at'
  | 'latitude' | 'longitude' | 'location_precision_m' | 'sources'
>
type Work = () => PromiseLike<{ error: { message: string } | null }>

const REASONS: ReportReason[] = ['copyright', 'illegal', 'offensive', 'spam', 'misleading', 'other']

/** What can be done with a recording: for everybody, for members, and for its owner. */
export function Actions({ recording, isOwner, isMember }: { recording: Shown; isOwner: boolean; isMember: boolean }) {
  const { id, title, status } = recording
  const supabase = useSupabase()
  const router = useRouter()
  const queries = useQueryClient()
  const userId = useUserId()
  const [said, setSaid] = useState('')
  const [isEditing, setEditing] = useState(false)
  const report = useRef<HTMLDialogElement>(null)
  const playlists = useQuery({ ...playlistsQuery(supabase, userId), enabled: isMember })
  const like = useQuery({ ...likeQuery(supabase, id, userId), enabled: isMember })
  const act = useMutation({
    mutationFn: async ({ work, done }: { work: Work; done: string }) => {
      const { error } = await work()
      if (error) throw new Error(error.message)
      return done
    },
    onSuccess: (done) => {
      setSaid(done)
      setEditing(false)
      void queries.invalidateQueries()
      router.refresh()
    },
    onError: (error) => setSaid(error.message),
  })

  async function download() {
    const address = await downloadAddressOf(supabase, recording)
    if (!address) return setSaid('The file is missing.')
    location.assign(address)
  }

  async function share() {
    const address = `${location.origin}/recordings/${id}`
    try {
      if (navigator.share) await navigator.share({ title, url: address })
      else await navigator.clipboard.writeText(address)
      setSaid(recording.is_public ? 'The link is copied.' : 'The link is copied. Only you can open it until you publish.')
    } catch (error) {
      // Whoever closes the sheet shares nothing, and that is no error.
      if (error instanceof Error && error.name !== 'AbortError') setSaid(address)
    }
  }

  async function remove() {
    if (!confirm(`Delete “${title}”? This cannot be undone.`)) return
    const { error } = await supabase.from('audio_files').delete().eq('id', id)
    if (error) return setSaid(error.message)
    await queries.invalidateQueries()
    router.push('/library')
  }

  function sendReport(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const details = String(form.get('details')).trim()
    act.mutate({
      work: () =>
        supabase.from('reports').insert({ audio_id: id, reason: String(form.get('reason')) as ReportReason, details: details || null }),
      done: 'Thank you. A moderator will look at it.',
    })
    report.current?.close()
  }

  return (
    <div className="stack">
      <div className="row">
        {isMember && (
          <button
            aria-pressed={like.data ?? false} disabled={like.isPending}
            onClick={() =>
              act.mutate(
                like.data
                  ? { work: () => supabase.from('likes').delete().eq('audio_id', id), done: 'No longer liked.' }
                  : {
                      work: () =>
                        supabase.from('likes').upsert({ audio_id: id }, { onConflict: 'user_id,audio_id', ignoreDuplicates: true }),
                      done: 'Liked.',
                    },
              )
            }
          >
            <Icon name="heart" /> {like.data ? 'Liked' : 'Like'}
          </button>
        )}
        {isMember && (playlists.data?.length ?? 0) > 0 && (
          // Not a <select>: with the keyboard, each arrow key would add to a playlist.
          <Menu label="Add to a playlist" button={<span className="button"><Icon name="playlists" /> Add to a playlist</span>} isStart>
            {playlists.data?.map((playlist) => (
              <button
                key={playlist.id} dir="auto"
                onClick={() =>
                  act.mutate({
                    work: () => supabase.from('playlist_items').insert({ playlist_id: playlist.id, audio_id: id }),
                    done: 'Added to the playlist.',
                  })
                }
              >
                {playlist.title}
              </button>
            ))}
          </Menu>
        )}
        <button onClick={() => void download()}>
          <Icon name="download" /> Download
        </button>
        <button onClick={() => void share()}>
          <Icon name="share" /> Share
        </button>
        {isOwner && (
          <>
            <button
              onClick={() =>
                act.mutate({
                  work: () => supabase.from('audio_files').update({ is_public: !recording.is_public }).eq('id', id),
                  done: recording.is_public ? 'It is private now.' : 'It is public now.',
                })
              }
            >
              {recording.is_public ? 'Make private' : 'Publish'}
            </button>
            <button aria-expanded={isEditing} onClick={() => setEditing(!isEditing)}>
              Edit
            </button>
            {(status === 'failed' || status === 'rejected') && (
              <button onClick={() => act.mutate({ work: () => supabase.rpc('retry_analysis', { recording: id }), done: 'The analysis has started again.' })}>
                Try again
              </button>
            )}
            {(status === 'queued' || status === 'analyzing') && (
              <button onClick={() => act.mutate({ work: () => supabase.rpc('cancel_analysis', { recording: id }), done: 'The analysis was cancelled.' })}>
                Cancel the analysis
              </button>
            )}
            <button className="plain bad" onClick={() => void remove()}>
              Delete
            </button>
          </>
        )}
        {isMember && !isOwner && (
          <button className="plain" onClick={() => report.current?.showModal()}>
            Report
          </button>
        )}
      </div>
      <span role="status" className="soft">
        {said}
      </span>
      {isEditing && (
        <EditForm
          recording={recording}
          onSave={(values) =>
            act.mutate({ work: () => supabase.from('audio_files').update(values).eq('id', id), done: 'Saved.' })
          }
        />
      )}
      <dialog ref={report} aria-labelledby="report-title">
        <form className="stack" onSubmit={sendReport}>
          <h2 id="report-title" style={{ margin: 0 }}>
            Report this recording
          </h2>
          <div>
            <label htmlFor="reason">Why</label>
            <select id="reason" name="reason" required>
              {REASONS.map((reason) => (
                <option key={reason} value={reason}>
                  {reason[0]!.toUpperCase() + reason.slice(1)}
                </option>
              ))}
            </select>
          </div>
          <div>
            <label htmlFor="details">What a moderator should know</label>
            <textarea id="details" name="details" maxLength={2000} />
          </div>
          <div className="row">
            <button className="primary">Send the report</button>
            <button type="button" onClick={() => report.current?.close()}>
              Cancel
            </button>
          </div>
        </form>
      </dialog>
    </div>
  )
}
