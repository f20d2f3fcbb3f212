import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { Reset } from './reset'

export const metadata: Metadata = { title: 'Choose a new password' }

export default function ResetPage() {
  return (
    <Page>
      <div className="card gate">
        <h1>Choose a new password</h1>
        <Reset />
      </div>
    </Page>
  )
}
