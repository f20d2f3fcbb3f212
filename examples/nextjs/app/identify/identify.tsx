'use client'

import { useMutation } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { useSupabase } from '@/app/providers'
import { Icon } from '@/components/icons'
import { Link } from '@/components/link'
import { identify, recordMicrophone } from '@/lib/soundscape/identify'
import { duration } from '@/lib/soundscape/words'
import { workerUrl } from '@/lib/supabase/settings'

const LISTENS_S = 12

/** Hold the microphone to a loudspeaker, and learn which recording it plays. */
export function Identify() {
  const supabase = useSupabase()
  const stop = useRef<(() => void) | null>(null)
  const [leftS, setLeft] = useState(0)
  const ask = useMutation({ mutationFn: (snippet: Blob) => identify(supabase, workerUrl, snippet) })
  const listen = useMutation({
    mutationFn: async () => {
      ask.reset()
      const recording = await recordMicrophone(LISTENS_S)
      stop.current = recording.stop
      setLeft(LISTENS_S)
      const snippet = await recording.snippet
      setLeft(0)
      await ask.mutateAsync(snippet)
    },
  })
  const isListening = leftS > 0
  useEffect(() => {
    if (!isListening) return
    const timer = setInterval(() => setLeft((left) => Math.max(1, left - 1)), 1000)
    return () => clearInterval(timer)
  }, [isListening])
  useEffect(() => () => stop.current?.(), [])

  return (
    <div className="stack" style={{ justifyItems: 'center', textAlign: 'center' }}>
      <p className="lead" style={{ marginInline: 'auto' }}>
        Hold your microphone to a loudspeaker to find out which recording it plays. The sound is not saved.
      </p>
      <button
        className="primary listening" aria-pressed={isListening} disabled={ask.isPending}
        onClick={() => (isListening ? stop.current?.() : listen.mutate())}
      >
        <Icon name="identify" /> {isListening ? 'Enough' : ask.isPending ? 'Thinking …' : 'Listen'}
      </button>
      <label className="button">
        Choose a file instead
        <input
          type="file" accept="audio/*,video/*" className="visually-hidden"
          onChange={(event) => event.target.files?.[0] && ask.mutate(event.target.files[0])}
        />
      </label>
      <div role="status" className="stack" style={{ width: '100%' }}>
        {isListening && <span className="soft">Listening, {leftS} seconds more …</span>}
        {(listen.error ?? ask.error) && <p className="notice bad">{problemOf(listen.error ?? ask.error)}</p>}
        {ask.data?.answer === 'not_enough_content' && <p className="notice">That was too short or too quiet to tell.</p>}
        {ask.data?.answer === 'no_match' && <p className="notice">No recording that you may hear matches this sound.</p>}
        {ask.data && ask.data.matches.length > 0 && (
          <ul className="list" aria-label="Identified" style={{ textAlign: 'start' }}>
            {ask.data.matches.map((match) => (
              <li key={match.audio_id} className="sending">
                <div style={{ minWidth: 0 }}>
                  <Link href={`/recordings/${match.audio_id}`} dir="auto">{match.title}</Link>
                  <div className="small soft">
                    at {duration(Math.max(0, match.offset_s))} · {Math.round(match.probability * 100)} % certain
                  </div>
                </div>
              </li>
            ))}
          </ul>
        )}
      </div>
    </div>
  )
}

function problemOf(error: Error | null): string {
  if (error?.name === 'NotAllowedError') return 'The browser may not use the microphone. Allow it, or choose a file.'
  if (error?.name === 'NotFoundError') return 'There is no microphone. Choose a file instead.'
  return error?.message ?? ''
}
