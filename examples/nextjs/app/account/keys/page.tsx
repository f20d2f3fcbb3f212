import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { Keys } from './keys'

export const metadata: Metadata = { title: 'API keys' }

export default function KeysPage() {
  return (
    <Page>
      <h1>API keys</h1>
      <Keys />
    </Page>
  )
}
