/** Live listening: sound to the worker while it sounds, and its readings back (docs/live.md). */
import type { Client } from './database'

export type Feature = 'levels' | 'spectrum' | 'pitch' | 'onset' | 'beat' | 'tempo' | 'key' | 'tags' | 'match'
export type Way = 'samples' | 'recorder'

/** The answers that a page shows; the worker sends more. */
export type Answer =
  | { type: 'started'; session_id: string; audio_id: string | null; bands_hz: number[]; features: Feature[] }
  | { type: 'levels'; audio_time_s: number; momentary_lufs: number | null; true_peak_dbtp: number | null }
  | { type: 'spectrum'; audio_time_s: number; bands_db: number[] }
  | { type: 'pitch'; frequency_hz: number | null; confidence: number }
  | { type: 'tempo'; tempo_bpm: number | null }
  | { type: 'key'; key: string | null; mode: string | null }
  | { type: 'tags'; tags: { label: string; confidence: number }[] }
  | { type: 'match'; matches: { audio_id: string; title: string; offset_s: number; probability: number }[] }
  | { type: 'saved'; audio_id: string; file_path: string }
  | { type: 'warning'; code: string; message: string }
  | { type: 'error'; code: string; message: string }
  | { type: 'stopped'; reason: string; duration_s: number }

export interface Listening {
  /** Say that the sound ends here. The last answers follow. */
  stop: () => void
  /** Done when the session is over. */
  ended: Promise<void>
}

export interface Options {
  features: Feature[]
  /** How the sound is sent: samples from an AudioWorklet, or Opus from MediaRecorder. */
  way: Way
  /** Keep the sound as a recording with this title. */
  title?: string
  /** A file that is played as if live; without one, the microphone is heard. */
  file?: File
}

const RECORDER_TYPES = { 'audio/webm;codecs=opus': 'webm-opus', 'audio/ogg;codecs=opus': 'ogg-opus' } as const
const CHUNK_MS = 100

/** Listen until `stop` is called or the sound is over. Throws where there is no microphone, or no connection. */
export async function listen(
  supabase: Client, workerUrl: string, options: Options, onAnswer: (answer: Answer) => void,
): Promise<Listening> {
  const { data } = await supabase.auth.getSession()
  const context = new AudioContext()
  const source = await open(context, options.file)
  try {
    // The context may have been made suspended: the user has clicked by now.
    await context.resume()
    const sender = options.way === 'samples' ? await fromWorklet(context, source.node) : fromRecorder(context, source.node)
    const socket = await connect(`${workerUrl.replace(/^http/, 'ws')}/api/live`)
    socket.send(JSON.stringify({
      type: 'start',
      token: data.session?.access_token ?? '',
      ...sender.format,
      features: options.features,
      rate_hz: 15,
      ...(options.title ? { save: { title: options.title } } : {}),
    }))
    let isStopped = false
    const stop = async () => {
      if (isStopped) return
      isStopped = true
      await sender.stop()
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: 'stop' }))
    }
    const { data: changes } = supabase.auth.onAuthStateChange((_, session) => {
      if (session && socket.readyState === WebSocket.OPEN) {
        socket.send(JSON.stringify({ type: 'token', token: session.access_token }))
      }
    })
    const ended = new Promise<void>((resolve) => {
      socket.onclose = () => {
        isStopped = true
        changes.subscription.unsubscribe()
        void sender.stop()
        source.close()
        void context.close()
        resolve()
      }
    })
    socket.onmessage = ({ data: text }) => {
      const answer = JSON.parse(text as string) as Answer
      onAnswer(answer)
      if (answer.type === 'started') sender.start((part) => socket.readyState === WebSocket.OPEN && socket.send(part))
    }
    source.onended(() => void stop())
    return { stop: () => void stop(), ended }
  } catch (error) {
    source.close()
    void context.close()
    throw error
  }
}

interface Source {
  node: AudioNode
  onended: (call: () => void) => void
  close: () => void
}

async function open(context: AudioContext, file?: File): Promise<Source> {
  if (!file) {
    // Echo cancellation and noise suppression would change what is measured.
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    })
    const close = () => stream.getTracks().forEach((track) => track.stop())
    return { node: context.createMediaStreamSource(stream), onended: () => undefined, close }
  }
  const node = new AudioBufferSourceNode(context, { buffer: await context.decodeAudioData(await file.arrayBuffer()) })
  node.connect(context.destination)
  return {
    node,
    onended: (call) => {
      node.onended = call
      node.start()
    },
    close: () => node.disconnect(),
  }
}

interface Sender {
  format: { format: string; sample_rate?: number; channels?: number }
  start: (send: (part: ArrayBuffer | Blob) => void) => void
  stop: () => Promise<void>
}

async function fromWorklet(context: AudioContext, node: AudioNode): Promise<Sender> {
  await context.audioWorklet.addModule('/capture.worklet.js')
  const capture = new AudioWorkletNode(context, 'capture', { numberOfOutputs: 0, channelCount: 1, channelCountMode: 'explicit' })
  return {
    format: { format: 'f32le', sample_rate: context.sampleRate, channels: 1 },
    start: (send) => {
      capture.port.onmessage = ({ data }) => send(data as ArrayBuffer)
      node.connect(capture)
    },
    stop: async () => {
      capture.port.onmessage = null
      capture.disconnect()
    },
  }
}

function fromRecorder(context: AudioContext, node: AudioNode): Sender {
  const found = Object.entries(RECORDER_TYPES).find(([type]) => MediaRecorder.isTypeSupported(type))
  if (!found) throw new Error('This browser records no Opus. Send samples instead.')
  const [mimeType, format] = found
  const target = context.createMediaStreamDestination()
  const recorder = new MediaRecorder(target.stream, { mimeType })
  return {
    format: { format },
    start: (send) => {
      recorder.ondataavailable = ({ data }) => data.size > 0 && send(data)
      node.connect(target)
      recorder.start(CHUNK_MS)
    },
    // The last part comes after the call, and before the event.
    stop: () => new Promise((resolve) => {
      if (recorder.state === 'inactive') return resolve()
      recorder.onstop = () => resolve()
      recorder.stop()
    }),
  }
}

function connect(url: string): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url)
    socket.onopen = () => resolve(socket)
    socket.onerror = () => reject(new Error('The worker cannot be reached.'))
  })
}
