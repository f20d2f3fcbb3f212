import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { pathWithin } from '@/lib/site'
import { SignIn } from './sign-in'

export const metadata: Metadata = { title: 'Sign in' }

export default async function SignInPage({ searchParams }: { searchParams: Promise<{ next?: string; error?: string }> }) {
  const { next, error } = await searchParams
  return (
    <Page>
      <div className="card gate">
        <h1>Sign in</h1>
        {error && <p className="notice bad" role="alert">{error}</p>}
        <SignIn next={pathWithin(next, '/library')} />
      </div>
    </Page>
  )
}
