'use client'

import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useSupabase } from '@/app/providers'
import { ago, sentenceOf } from '@/lib/soundscape/words'
import { Icon } from './icons'
import { Link } from './link'
import { Menu } from './menu'

const SHOWN = 20

/** What happened to the reader's recordings. Opening it marks all of it read. */
export function Bell({ userId }: { userId: string }) {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const { data } = useQuery({
    queryKey: ['notifications', userId],
    queryFn: async () => {
      const { data, error } = await supabase
        .from('notifications')
        .select('id, kind, error_code, error_message, created_at, read_at, audio_id, audio_files(title, error_message)')
        .order('created_at', { ascending: false })
        .limit(SHOWN)
      if (error) throw error
      return data
    },
  })
  const unread = data?.filter(({ read_at }) => !read_at).length ?? 0

  async function markRead() {
    if (unread === 0) return
    await supabase.from('notifications').update({ read_at: new Date().toISOString() }).is('read_at', null)
    await queries.invalidateQueries({ queryKey: ['notifications', userId] })
  }

  return (
    <Menu
      label={unread ? `Notifications, ${unread} unread` : 'Notifications'} onOpen={() => void markRead()}
      button={
        <>
          <Icon name="bell" />
          {unread > 0 && <span className="count" aria-hidden="true">{unread >= SHOWN ? `${SHOWN}+` : unread}</span>}
        </>
      }
    >
      {data?.length ? (
        data.map((each) => (
          <Link key={each.id} href={each.audio_id ? `/recordings/${each.audio_id}` : '/account'}>
            <span dir="auto">{sentenceOf(each.kind, each.audio_files?.title ?? '')}</span>
            {each.error_message && <span className="small" style={{ display: 'block' }}>{each.error_message}</span>}
            <span className="small soft" style={{ display: 'block' }}>
              {ago(each.created_at)}
            </span>
          </Link>
        ))
      ) : (
        <span className="who soft" style={{ border: 0 }}>Nothing yet. When an upload has been analysed, it says so here.</span>
      )}
      <Link href="/account/notifications" className="soft">Notification settings</Link>
    </Menu>
  )
}
