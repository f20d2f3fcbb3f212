import { Link } from '@/components/link'
import { Page } from '@/components/page'

export default function NotFound() {
  return (
    <Page>
      <h1>Not found</h1>
      <p>There is no such page, or you are not allowed to see it.</p>
      <Link href="/">Go to the start page</Link>
    </Page>
  )
}
