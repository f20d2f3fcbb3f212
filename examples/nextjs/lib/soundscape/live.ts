/** What changes while a page is open. A subscription only says that something changed; the query has the truth. */
import type { Client } from '@/lib/supabase/browser'

/**
 * Call `onChange` when a recording of this user changes, and after each reconnect, since what happened
 * in between was missed. Returns the function that ends it.
 */
export function watchLibrary(supabase: Client, userId: string, onChange: () => void): () => void {
  let wasJoined = false
  const channel = supabase
    .channel(`library-of-${userId}`)
    .on(
      'postgres_changes',
      { event: '*', schema: 'public', table: 'audio_files', filter: `user_id=eq.${userId}` },
      onChange,
    )
    .subscribe((state) => {
      if (state !== 'SUBSCRIBED') return
      if (wasJoined) onChange()
      wasJoined = true
    })
  return () => void supabase.removeChannel(channel)
}
