import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { SignIn } from './sign-in'

export const metadata: Metadata = { title: 'Sign in' }

export default async function SignInPage({ searchParams }: { searchParams: Promise<{ next?: string; error?: string }> }) {
  const { next, error } = await searchParams
  // Only a path of our own: a link to another host would carry the reader away.
  const target = next?.startsWith('/') && !next.startsWith('//') ? next : '/library'
  return (
    <Page>
      <h1>Sign in</h1>
      {error && <p className="notice bad">{error}</p>}
      <SignIn next={target} />
    </Page>
  )
}
