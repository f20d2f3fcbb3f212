/** What plays in this tab: one sound at a time, a queue behind it, and a note of what was heard. */
import type { Client, Database, Project } from './database'
import { addressOf } from './recording'

export interface Track {
  id: string
  title: string
  durationS: number | null
}

export interface PlayerState {
  track: Track | null
  isPlaying: boolean
  queue: readonly Track[]
  place: number
  /** Why nothing is heard. */
  problem: string
}

/** Where somebody came upon a recording: `listening_events.context`. */
export type Context = 'library' | 'search' | 'similar' | 'recommended' | 'radio' | 'playlist' | 'recording' | 'embed' | 'profile'

interface Options {
  context: Context
  /** Called when the queue is nearly over; what it returns is played on. */
  more?: (played: readonly Track[]) => Promise<Track[]>
}

/** A sound that is on. */
export interface Listening {
  track: Track
  startedAt: Date
  heardS: number
}

const SILENT: PlayerState = { track: null, isPlaying: false, queue: [], place: 0, problem: '' }
/** Less is a slip of the finger: nothing is noted of it. */
const MIN_NOTED_S = 1

export class Player {
  #supabase: Client
  #project: Project
  #onNote: () => void
  #token: string | null = null
  #audio: HTMLAudioElement | null = null
  #state = SILENT
  #options: Options = { context: 'library' }
  #listeners = new Set<() => void>()
  #timeListeners = new Set<() => void>()
  #heardS = 0
  #lastS = 0
  #startedAt: Date | null = null
  #isFetching = false

  /** `onNote` is called when the backend has a new listening event. */
  constructor(supabase: Client, project: Project, onNote: () => void = () => {}) {
    this.#supabase = supabase
    this.#project = project
    this.#onNote = onNote
  }

  /** The access token of whoever listens. It is known before it is needed: a page that is being left waits for nothing. */
  setToken(token: string | null): void {
    this.#token = token
  }

  /** The page is left, and with it what plays. */
  leave = (): void => this.#note()

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Time passes some four times a second: only what shows a clock listens here. */
  subscribeTime = (listener: () => void): (() => void) => {
    this.#timeListeners.add(listener)
    return () => this.#timeListeners.delete(listener)
  }

  getSnapshot = (): PlayerState => this.#state

  getServerSnapshot = (): PlayerState => SILENT

  getTime = (): number => this.#audio?.currentTime ?? 0

  /** What was heard of the present track and is not noted yet, if it will be. */
  getListening = (): Listening | null => {
    const { track } = this.#state
    return track && this.#startedAt && this.#heardS >= MIN_NOTED_S
      ? { track, startedAt: this.#startedAt, heardS: this.#heardS } : null
  }

  /** Play the queue from `place` on. */
  async play(queue: readonly Track[], place: number, options: Options): Promise<void> {
    this.#note()
    this.#options = options
    this.#set({ queue, place })
    await this.#load()
  }

  toggle(): void {
    if (!this.#audio?.src) return
    if (this.#audio.paused) void this.#resume()
    else this.#audio.pause()
  }

  seek(seconds: number): void {
    if (!this.#audio) return
    this.#audio.currentTime = this.#lastS = seconds
    this.#timeListeners.forEach((listener) => listener())
  }

  next(): void {
    this.#move(1)
  }

  previous(): void {
    if (this.getTime() > 3 || this.#state.place === 0) this.seek(0)
    else this.#move(-1)
  }

  stop(): void {
    this.#note()
    this.#audio?.pause()
    this.#audio?.removeAttribute('src')
    this.#state = SILENT
    this.#listeners.forEach((listener) => listener())
  }

  #move(step: number): void {
    const place = this.#state.place + step
    if (!this.#state.queue[place]) return
    this.#set({ place })
    void this.#load()
  }

  async #load(): Promise<void> {
    this.#note()
    const track = this.#state.queue[this.#state.place] ?? null
    this.#set({ track, problem: '' })
    if (!track) return
    const audio = this.#element()
    audio.pause()
    const { data: recording } = await this.#supabase
      .from('audio_files').select('id, file_path, preview_path').eq('id', track.id).maybeSingle()
    const address = recording && (await addressOf(this.#supabase, recording))
    if (this.#state.track !== track) return
    if (!address) return this.#set({ problem: 'This recording cannot be played.' })
    audio.src = address
    await this.#resume()
    void this.#fetchMore()
  }

  async #resume(): Promise<void> {
    try {
      await this.#audio?.play()
    } catch (error) {
      // A new track while the last one was still loading is no problem.
      if (error instanceof Error && error.name !== 'AbortError') this.#set({ problem: 'This recording cannot be played.' })
    }
  }

  async #fetchMore(): Promise<void> {
    const { more } = this.#options
    if (!more || this.#isFetching || this.#state.place < this.#state.queue.length - 2) return
    this.#isFetching = true
    try {
      const added = await more(this.#state.queue)
      if (this.#options.more === more) this.#set({ queue: [...this.#state.queue, ...added] })
    } finally {
      this.#isFetching = false
    }
  }

  #element(): HTMLAudioElement {
    if (this.#audio) return this.#audio
    const audio = (this.#audio = new Audio())
    audio.onplay = () => this.#set({ isPlaying: true })
    audio.onpause = () => {
      this.#hear()
      this.#set({ isPlaying: false })
    }
    audio.onseeking = () => {
      this.#lastS = audio.currentTime
    }
    audio.onerror = () => {
      if (!audio.getAttribute('src')) return
      const isLost = audio.error?.code === MediaError.MEDIA_ERR_NETWORK
      const problem = isLost ? 'The sound could not be fetched. Are you offline?' : 'This browser cannot play this recording.'
      this.#set({ problem, isPlaying: false })
    }
    audio.ontimeupdate = () => {
      this.#hear()
      this.#timeListeners.forEach((listener) => listener())
    }
    audio.onended = () => {
      this.#note(true)
      this.#move(1)
    }
    return audio
  }

  /** Count what passed since the last look. A seek passes nothing, and a busy machine looks seldom. */
  #hear(): void {
    if (!this.#audio) return
    const { currentTime, seeking } = this.#audio
    if (!seeking && currentTime > this.#lastS) {
      this.#heardS += currentTime - this.#lastS
      this.#startedAt ??= new Date()
    }
    this.#lastS = currentTime
  }

  /** Tell the backend what was heard, once for each time that a track was on. Recommendations learn from it. */
  #note(isCompleted = false): void {
    this.#hear()
    const { track } = this.#state
    const [heardS, startedAt] = [this.#heardS, this.#startedAt]
    this.#heardS = 0
    this.#startedAt = null
    if (!track || !startedAt || heardS < MIN_NOTED_S || !this.#token) return
    const event: Database['public']['Tables']['listening_events']['Insert'] = {
      audio_id: track.id,
      listened_s: Math.round(heardS * 10) / 10,
      completed: isCompleted,
      context: this.#options.context,
      started_at: startedAt.toISOString(),
    }
    // Not by supabase-js: only a request that is kept alive outlives the page.
    void fetch(`${this.#project.url}/rest/v1/listening_events`, {
      method: 'POST',
      keepalive: true,
      headers: {
        apikey: this.#project.publishableKey,
        authorization: `Bearer ${this.#token}`,
        'content-type': 'application/json',
        prefer: 'return=minimal',
      },
      body: JSON.stringify(event),
    }).then(this.#onNote, () => undefined)
  }

  #set(change: Partial<PlayerState>): void {
    this.#state = { ...this.#state, ...change }
    this.#listeners.forEach((listener) => listener())
  }
}
