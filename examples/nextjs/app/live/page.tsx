import type { Metadata } from 'next'
import { Page } from '@/components/page'
import { Live } from './live'

export const metadata: Metadata = { title: 'Live' }

export default function LivePage() {
  return (
    <Page>
      <h1>Live</h1>
      <Live />
    </Page>
  )
}
