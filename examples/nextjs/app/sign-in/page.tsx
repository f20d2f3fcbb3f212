import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { pathWithin } from '@/lib/site'
import { SignIn } from './sign-in'

export const metadata: Metadata = { title: 'Sign in' }

export default async function SignInPage({ searchParams }: { searchParams: Promise<{ next?: string; error?: string; deleted?: string }> }) {
  const { next, error, deleted } = await searchParams
  return (
    <Page>
      <div className="card gate">
        <h1>Sign in</h1>
        {deleted && <p className="notice" role="status">The account is deleted, with everything that belonged to it.</p>}
        {error && <p className="notice bad" role="alert">{error}</p>}
        <SignIn next={pathWithin(next, '/library')} />
      </div>
    </Page>
  )
}
