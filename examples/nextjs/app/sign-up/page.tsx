import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { SignUp } from './sign-up'

export const metadata: Metadata = { title: 'Sign up' }

export default function SignUpPage() {
  return (
    <Page>
      <div className="card gate">
        <h1>Sign up</h1>
        <SignUp />
      </div>
    </Page>
  )
}
