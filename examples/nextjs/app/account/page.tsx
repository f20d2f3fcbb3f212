import type { Metadata } from 'next'
import { cookies } from 'next/headers'
import { redirect } from 'next/navigation'
import { Page } from '@/components/page'
import { createClient } from '@/lib/supabase/server'
import { Account } from './account'

export const metadata: Metadata = { title: 'Account' }

export default async function AccountPage({ searchParams }: { searchParams: Promise<{ said?: string }> }) {
  const supabase = await createClient()
  const { data } = await supabase.auth.getClaims()
  if (!data) redirect('/sign-in?next=/account')
  const { data: profile } = await supabase
    .from('users').select('display_name, username, bio').eq('id', data.claims.sub).maybeSingle()
  const { said } = await searchParams
  return (
    <Page>
      <h1>Account</h1>
      {said && <p className="notice">{said}</p>}
      <Account
        userId={data.claims.sub} email={String(data.claims.email ?? '')} theme={(await cookies()).get('theme')?.value ?? 'system'}
        profile={{
          display_name: profile?.display_name ?? '', username: profile?.username ?? '', bio: profile?.bio ?? '',
        }}
      />
    </Page>
  )
}
