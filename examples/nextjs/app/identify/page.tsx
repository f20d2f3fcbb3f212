import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { Identify } from './identify'

export const metadata: Metadata = { title: 'What is playing?' }

export default function IdentifyPage() {
  return (
    <Page>
      <h1 style={{ textAlign: 'center' }}>What is playing?</h1>
      <Identify />
    </Page>
  )
}
