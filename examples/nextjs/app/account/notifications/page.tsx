import type { Metadata } from 'next'
import { redirect } from 'next/navigation'
import { Page } from '@/components/page'
import { createClient } from '@/lib/supabase/server'
import { NotificationSettings } from './settings'

export const metadata: Metadata = { title: 'Notifications' }

export default async function NotificationsPage() {
  const supabase = await createClient()
  const { data } = await supabase.auth.getClaims()
  if (!data) redirect('/sign-in?next=/account/notifications')
  const { data: preferences } = await supabase
    .from('user_preferences').select('time_zone, quiet_from, quiet_until, locale').eq('user_id', data.claims.sub).maybeSingle()
  return (
    <Page>
      <h1>Notifications</h1>
      <NotificationSettings
        userId={data.claims.sub}
        quiet={{
          timeZone: preferences?.time_zone ?? 'UTC', from: preferences?.quiet_from?.slice(0, 5) ?? '',
          until: preferences?.quiet_until?.slice(0, 5) ?? '',
        }}
        locale={preferences?.locale ?? 'en'}
      />
    </Page>
  )
}
