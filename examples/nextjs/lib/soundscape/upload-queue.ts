/** The uploads of this tab: a few at a time, the others wait. A page shows them; they go on when it is left. */
import type { Client, Project } from './database'
import { startUpload, type Upload } from './upload'

const MAX_AT_ONCE = 3

export interface Sending {
  id: number
  name: string
  sentBytes: number
  totalBytes: number
  state: 'waiting' | 'sending' | 'paused' | 'done' | 'failed'
  message: string
}

export class UploadQueue {
  #supabase: Client
  #project: Project
  #onDone: () => void
  #sendings: readonly Sending[] = []
  #files = new Map<number, File>()
  #uploads = new Map<number, Upload>()
  #listeners = new Set<() => void>()
  #lastId = 0

  /** `onDone` is called after each upload that is whole. */
  constructor(supabase: Client, project: Project, onDone: () => void) {
    this.#supabase = supabase
    this.#project = project
    this.#onDone = onDone
  }

  /** For React's useSyncExternalStore, with `getSnapshot`. */
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  getSnapshot = (): readonly Sending[] => this.#sendings

  add(files: Iterable<File>): void {
    const added: Sending[] = []
    for (const file of files) {
      // Folders hold .DS_Store and the like.
      if (file.name.startsWith('.')) continue
      const id = ++this.#lastId
      this.#files.set(id, file)
      added.push({ id, name: file.name, sentBytes: 0, totalBytes: file.size, state: 'waiting', message: '' })
    }
    this.#set([...this.#sendings, ...added])
    this.#startNext()
  }

  pause(id: number): void {
    this.#uploads.get(id)?.pause()
    this.#change(id, { state: 'paused', message: '' })
    this.#startNext()
  }

  resume(id: number): void {
    this.#change(id, { state: 'waiting', message: '' })
    this.#startNext()
  }

  /** Stop it and delete what was sent. */
  async cancel(id: number): Promise<void> {
    const upload = this.#uploads.get(id)
    this.#forget([id])
    this.#startNext()
    await upload?.cancel()
  }

  /** Leave out what is done or failed. */
  clear(): void {
    this.#forget(this.#sendings.filter(({ state }) => state === 'done' || state === 'failed').map(({ id }) => id))
  }

  #startNext(): void {
    let free = MAX_AT_ONCE - this.#sendings.filter(({ state }) => state === 'sending').length
    for (const { id, state } of this.#sendings) {
      if (state === 'waiting' && free-- > 0) void this.#start(id)
    }
  }

  async #start(id: number): Promise<void> {
    this.#change(id, { state: 'sending', message: '' })
    const started = this.#uploads.get(id)
    if (started) return started.resume()
    const file = this.#files.get(id)
    if (!file) return
    try {
      const upload = await startUpload(this.#supabase, this.#project, file, {
        onProgress: (sentBytes, totalBytes) => this.#change(id, { sentBytes, totalBytes }),
        onDone: () => this.#end(id, { state: 'done', sentBytes: file.size }),
        onError: (message) => this.#end(id, { state: 'failed', message }),
      })
      this.#uploads.set(id, upload)
      const present = this.#sendings.find((each) => each.id === id)
      if (!present) await upload.cancel()
      else if (present.state === 'paused') upload.pause()
    } catch (error) {
      this.#end(id, { state: 'failed', message: error instanceof Error ? error.message : String(error) })
    }
  }

  #end(id: number, to: Partial<Sending>): void {
    this.#change(id, to)
    this.#startNext()
    if (to.state === 'done') this.#onDone()
  }

  #forget(ids: number[]): void {
    for (const id of ids) {
      this.#files.delete(id)
      this.#uploads.delete(id)
    }
    this.#set(this.#sendings.filter(({ id }) => !ids.includes(id)))
  }

  #change(id: number, to: Partial<Sending>): void {
    this.#set(this.#sendings.map((each) => (each.id === id ? { ...each, ...to } : each)))
  }

  #set(sendings: readonly Sending[]): void {
    this.#sendings = sendings
    this.#listeners.forEach((listener) => listener())
  }
}
