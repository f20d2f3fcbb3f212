'use client'

export default function PageError({ error, reset }: { error: Error & { digest?: string }; reset: () => void }) {
  return (
    <main className="page">
      <h1>This page could not be made</h1>
      <p className="notice bad">{error.message}</p>
      <button onClick={reset}>Try again</button>
    </main>
  )
}
