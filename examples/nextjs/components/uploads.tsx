'use client'

import { useEffect, useRef, useState } from 'react'
import { useSupabase } from '@/app/providers'
import { startUpload, type Upload } from '@/lib/soundscape/upload'
import { bytes } from '@/lib/soundscape/words'

interface Sending {
  id: number
  name: string
  sent: number
  total: number
  state: 'sending' | 'paused' | 'done' | 'failed'
  message: string
  upload?: Upload
}

let lastId = 0

/** Drop files or a folder here; each goes up by itself, can be paused, and goes on after a reload. */
export function Uploads({ onDone }: { onDone: () => void }) {
  const supabase = useSupabase()
  const [sendings, setSendings] = useState<Sending[]>([])
  const [isOver, setOver] = useState(false)
  const files = useRef<HTMLInputElement>(null)
  const folder = useRef<HTMLInputElement>(null)
  // React has no property for it.
  useEffect(() => folder.current?.setAttribute('webkitdirectory', ''), [])

  function change(id: number, to: Partial<Sending>) {
    setSendings((all) => all.map((each) => (each.id === id ? { ...each, ...to } : each)))
  }

  async function send(file: File) {
    const id = ++lastId
    setSendings((all) => [...all, { id, name: file.name, sent: 0, total: file.size, state: 'sending', message: '' }])
    try {
      const upload = await startUpload(supabase, file, {
        onProgress: (sent, total) => change(id, { sent, total }),
        onDone: () => {
          change(id, { state: 'done', sent: file.size, message: 'Uploaded' })
          onDone()
        },
        onError: (message) => change(id, { state: 'failed', message }),
      })
      change(id, { upload })
    } catch (error) {
      change(id, { state: 'failed', message: error instanceof Error ? error.message : String(error) })
    }
  }

  function sendAll(list: FileList | File[] | null) {
    for (const file of list ?? []) if (file.size > 0 && !file.name.startsWith('.')) void send(file)
  }

  return (
    <section aria-label="Upload">
      <div
        className="drop"
        data-over={isOver}
        onDragOver={(event) => {
          event.preventDefault()
          setOver(true)
        }}
        onDragLeave={() => setOver(false)}
        onDrop={async (event) => {
          event.preventDefault()
          setOver(false)
          sendAll(await filesIn(event.dataTransfer))
        }}
      >
        <p style={{ margin: '0 auto 1rem' }}>Drop recordings here, or a folder of them.</p>
        <div className="row" style={{ justifyContent: 'center' }}>
          <button className="primary" onClick={() => files.current?.click()}>
            Choose files
          </button>
          <button onClick={() => folder.current?.click()}>Choose a folder</button>
        </div>
        <input
          ref={files} type="file" multiple hidden aria-label="Files to upload"
          onChange={(event) => sendAll(event.target.files)}
        />
        <input
          ref={folder} type="file" multiple hidden aria-label="Folder to upload"
          onChange={(event) => sendAll(event.target.files)}
        />
      </div>
      {sendings.length > 0 && (
        <ul className="list" style={{ marginTop: '1rem' }}>
          {sendings.map((each) => (
            <li key={each.id} className="item">
              <div>
                <span className="title" dir="auto">{each.name}</span>
                <span className={`small ${each.state === 'failed' ? 'bad' : 'soft'}`} role="status">
                  {each.message || `${bytes(each.sent)} of ${bytes(each.total)}`}
                </span>
              </div>
              <progress value={each.sent} max={each.total || 1} aria-label={`Upload of ${each.name}`} />
              <div className="row">
                {each.state === 'sending' && (
                  <button onClick={() => { each.upload?.pause(); change(each.id, { state: 'paused', message: 'Paused' }) }}>
                    Pause
                  </button>
                )}
                {(each.state === 'paused' || each.state === 'failed') && each.upload && (
                  <button onClick={() => { change(each.id, { state: 'sending', message: '' }); each.upload?.resume() }}>
                    Resume
                  </button>
                )}
                {each.state !== 'done' && (
                  <button
                    className="plain"
                    onClick={async () => {
                      setSendings((all) => all.filter((other) => other.id !== each.id))
                      await each.upload?.cancel()
                    }}
                  >
                    Cancel
                  </button>
                )}
              </div>
            </li>
          ))}
        </ul>
      )}
    </section>
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
