'use client'

import { useRouter } from 'next/navigation'
import { startTransition } from 'react'

/** What failed on the server has no message here: it may hold what is not for readers. */
export default function PageError({ reset }: { error: Error & { digest?: string }; reset: () => void }) {
  const router = useRouter()
  return (
    <main className="page">
      <h1>This page could not be loaded</h1>
      <p className="notice bad">The server did not answer. Try again in a moment.</p>
      <button
        className="primary"
        onClick={() =>
          startTransition(() => {
            router.refresh()
            reset()
          })
        }
      >
        Try again
      </button>
    </main>
  )
}
