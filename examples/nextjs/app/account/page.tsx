import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { Account } from './account'

export const metadata: Metadata = { title: 'Account' }

export default function AccountPage() {
  return (
    <Page>
      <h1>Account</h1>
      <Account />
    </Page>
  )
}
