/** Which recording is this? The worker listens to at most 30 seconds of what is sent. */
import type { Client } from '@/lib/supabase/browser'
import { workerUrl } from '@/lib/supabase/settings'

export interface Refusal {
  code: string
  message: string
  remedy: string
}

/** Send a sound to `POST /api/identify`. Throws a `Refusal` with the server's words. */
export async function identify(supabase: Client, sound: Blob): Promise<unknown> {
  const { data } = await supabase.auth.getSession()
  const response = await fetch(`${workerUrl}/api/identify`, {
    method: 'POST',
    headers: { authorization: `Bearer ${data.session?.access_token ?? ''}` },
    body: sound,
  })
  const answer: unknown = await response.json()
  if (!response.ok) throw answer as Refusal
  return answer
}
