import Link from 'next/link'
import { Page } from '@/components/page'

export default function NotFound() {
  return (
    <Page>
      <h1>Not found</h1>
      <p>There is nothing here, or it is not for you to see.</p>
      <Link href="/">To the start</Link>
    </Page>
  )
}
