import type { Metadata } from 'next'
import { notFound } from 'next/navigation'
import { Page } from '@/components/page'
import { createClient } from '@/lib/supabase/server'
import { Desk } from './desk'

export const metadata: Metadata = { title: 'Moderator’s desk' }

export default async function DeskPage() {
  const supabase = await createClient()
  const { data } = await supabase.auth.getClaims()
  // The claim in the token may be old. The table is not.
  const { data: roles } = await supabase.from('user_roles').select('role').eq('user_id', data?.claims.sub ?? '')
  if (!roles?.some(({ role }) => role === 'moderator' || role === 'admin')) notFound()
  return (
    <Page>
      <h1>Moderator’s desk</h1>
      <Desk />
    </Page>
  )
}
