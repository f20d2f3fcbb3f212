'use client'

import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState, useSyncExternalStore } from 'react'
import { useSupabase, useUploads, useUserId } from '@/app/providers'
import { discardInterrupted, findInterrupted, titleOf, type Interrupted } from '@/lib/soundscape/upload'
import type { Sending } from '@/lib/soundscape/upload-queue'
import { bytes } from '@/lib/soundscape/words'
import { publishableKey, supabaseUrl } from '@/lib/supabase/settings'

const NONE: readonly Sending[] = []

/** Drop files or a folder here; each goes up by itself, can be paused, and goes on after a reload. */
export function Uploads() {
  const uploads = useUploads()
  const sendings = useSyncExternalStore(uploads.subscribe, uploads.getSnapshot, () => NONE)
  const [isOver, setOver] = useState(false)
  const files = useRef<HTMLInputElement>(null)
  const folder = useRef<HTMLInputElement>(null)
  // React has no property for it.
  useEffect(() => folder.current?.setAttribute('webkitdirectory', ''), [])
  const isSending = sendings.some(({ state }) => state === 'sending' || state === 'waiting')
  useEffect(() => {
    if (!isSending) return
    const ask = (event: BeforeUnloadEvent) => event.preventDefault()
    addEventListener('beforeunload', ask)
    return () => removeEventListener('beforeunload', ask)
  }, [isSending])

  function choose(input: HTMLInputElement) {
    uploads.add([...(input.files ?? [])])
    // The same file may be chosen again.
    input.value = ''
  }

  const doneCount = sendings.filter(({ state }) => state === 'done').length
  return (
    <section aria-label="Upload">
      <div
        className="drop" data-over={isOver}
        onDragOver={(event) => {
          event.preventDefault()
          setOver(true)
        }}
        onDragLeave={() => setOver(false)}
        onDrop={async (event) => {
          event.preventDefault()
          setOver(false)
          uploads.add(await filesIn(event.dataTransfer))
        }}
      >
        <p>
          <strong>Add recordings</strong>
          <span className="soft small">Drop audio or video files here, or a folder. Interrupted uploads continue where they stopped.</span>
        </p>
        <div className="row">
          <button className="primary" onClick={() => files.current?.click()}>
            Choose files
          </button>
          <button onClick={() => folder.current?.click()}>Choose a folder</button>
        </div>
        <input
          ref={files} type="file" multiple hidden aria-label="Files to upload"
          onChange={(event) => choose(event.currentTarget)}
        />
        <input
          ref={folder} type="file" multiple hidden aria-label="Folder to upload"
          onChange={(event) => choose(event.currentTarget)}
        />
      </div>
      <InterruptedUploads sendings={sendings} />
      {sendings.length > 0 && (
        <>
          <div className="row spread" style={{ margin: '1rem 0 0.5rem' }}>
            <span className="soft small" role="status">
              {doneCount} of {sendings.length} uploaded
            </span>
            {sendings.some(({ state }) => state === 'done' || state === 'failed') && (
              <button className="plain" onClick={() => uploads.clear()}>
                Clear finished
              </button>
            )}
          </div>
          <ul className="list" aria-label="Uploads">
            {sendings.map((sending) => (
              <li key={sending.id}>
                <SendingItem sending={sending} />
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  )
}

const STATES = { waiting: 'Waiting for its turn', sending: '', paused: 'Paused · ', done: 'Uploaded · ', failed: '' } as const

function SendingItem({ sending }: { sending: Sending }) {
  const uploads = useUploads()
  const { id, name, state, sentBytes, totalBytes, message } = sending
  const isOpen = state === 'sending' || state === 'waiting'
  return (
    <div className="sending">
      <div style={{ minWidth: 0 }}>
        <div className="title" dir="auto">{name}</div>
        <div className={`small ${state === 'failed' ? 'bad' : 'soft'}`} role={state === 'failed' ? 'alert' : undefined}>
          {message || (state === 'waiting' ? STATES.waiting : `${STATES[state]}${bytes(sentBytes)} of ${bytes(totalBytes)}`)}
        </div>
      </div>
      <div className="row tight">
        {isOpen && (
          <button className="plain" aria-label={`Pause ${name}`} onClick={() => uploads.pause(id)}>
            Pause
          </button>
        )}
        {(state === 'paused' || state === 'failed') && (
          <button aria-label={`Resume ${name}`} onClick={() => uploads.resume(id)}>
            {state === 'failed' ? 'Try again' : 'Resume'}
          </button>
        )}
        {state !== 'done' && (
          <button className="plain" aria-label={`Cancel ${name}`} onClick={() => void uploads.cancel(id)}>
            Cancel
          </button>
        )}
      </div>
      {state !== 'done' && state !== 'failed' && (
        <progress value={sentBytes} max={totalBytes || 1} aria-label={`Upload of ${name}`} />
      )}
    </div>
  )
}

/** Uploads that a reload cut off. Browsers forget the file, so it has to be chosen again. */
function InterruptedUploads({ sendings }: { sendings: readonly Sending[] }) {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const userId = useUserId()
  const { data } = useQuery({
    queryKey: ['interrupted', userId, sendings.map(({ id, state }) => `${id} ${state}`).join()],
    enabled: userId !== null,
    placeholderData: keepPreviousData,
    queryFn: () => findInterrupted(userId ?? ''),
    staleTime: 0,
  })
  // What this page sends by itself is listed already.
  const isListed = (upload: Interrupted) =>
    sendings.some(({ name, totalBytes }) => titleOf(name) === upload.title && totalBytes === upload.sizeBytes)
  const waiting = data?.filter((upload) => !isListed(upload)) ?? []
  if (waiting.length === 0) return null
  return (
    <ul className="list" aria-label="Interrupted uploads" style={{ marginTop: '1rem' }}>
      {waiting.map((upload) => (
        <li key={upload.key} className="sending">
          <div style={{ minWidth: 0 }}>
            <div className="title" dir="auto">{upload.title}</div>
            <div className="small soft">Interrupted · {bytes(upload.sizeBytes)} · choose the same file again to continue</div>
          </div>
          <button
            className="plain" aria-label={`Discard ${upload.title}`}
            onClick={async () => {
              await discardInterrupted(supabase, { url: supabaseUrl, publishableKey }, upload)
              await queries.invalidateQueries({ queryKey: ['interrupted'] })
            }}
          >
            Discard
          </button>
        </li>
      ))}
    </ul>
  )
}

/** The files of a drop, those in dropped folders too. */
async function filesIn(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null)
  return entries.length ? (await Promise.all(entries.map(filesOf))).flat() : [...transfer.files]
}

async function filesOf(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    return [await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))]
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const found: File[] = []
  for (;;) {
    // Chromium gives at most a hundred at a time, and an empty list at the end.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) return found
    for (const each of some) found.push(...(await filesOf(each)))
  }
}
