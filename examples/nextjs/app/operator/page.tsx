import type { Metadata } from 'next'
import { notFound } from 'next/navigation'
import { Page } from '@/components/page'
import { createClient } from '@/lib/supabase/server'
import { Operator } from './operator'

export const metadata: Metadata = { title: 'Operator' }

export default async function OperatorPage() {
  const supabase = await createClient()
  const { data } = await supabase.auth.getClaims()
  const { data: roles } = await supabase
    .from('user_roles').select('role').eq('user_id', data?.claims.sub ?? '').eq('role', 'admin')
  if (!roles?.length) notFound()
  return (
    <Page>
      <h1>Operator</h1>
      <Operator />
    </Page>
  )
}
