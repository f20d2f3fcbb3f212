/** Which recording a snippet comes from. The worker listens to it; nothing of it is kept. */
import type { Client } from './database'

export interface Identification {
  answer: 'match' | 'no_match' | 'not_enough_content'
  heard_s: number
  matches: { audio_id: string; title: string; probability: number; offset_s: number }[]
}

/** Send a snippet of at most 30 seconds and 12 MB. Throws the worker's own sentence where it refuses. */
export async function identify(supabase: Client, workerUrl: string, snippet: Blob): Promise<Identification> {
  const { data } = await supabase.auth.getSession()
  const response = await fetch(`${workerUrl}/api/identify`, {
    method: 'POST',
    headers: {
      'content-type': snippet.type || 'application/octet-stream',
      ...(data.session ? { authorization: `Bearer ${data.session.access_token}` } : {}),
    },
    body: snippet,
  })
  const answer = (await response.json()) as Identification & { message?: string }
  if (!response.ok) throw new Error(answer.message ?? `The worker answered ${response.status}.`)
  return answer
}

/**
 * Record the microphone until `stop` is called or `maxS` have passed.
 *
 * Throws where the browser has no microphone, or the user says no.
 */
export async function recordMicrophone(maxS: number): Promise<{ stop: () => void; snippet: Promise<Blob> }> {
  // Echo cancellation and noise suppression take away the very sound that is to be found.
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  })
  const recorder = new MediaRecorder(stream)
  const parts: Blob[] = []
  recorder.ondataavailable = ({ data }) => parts.push(data)
  const stop = () => recorder.state !== 'inactive' && recorder.stop()
  const snippet = new Promise<Blob>((resolve) => {
    recorder.onstop = () => {
      stream.getTracks().forEach((track) => track.stop())
      resolve(new Blob(parts, { type: recorder.mimeType }))
    }
  })
  recorder.start()
  setTimeout(stop, maxS * 1000)
  return { stop, snippet }
}
