'use client'

import type { Provider } from '@supabase/supabase-js'
import { useState } from 'react'
import { useSupabase } from '@/app/providers'
import { providers } from '@/lib/site'
import { Said, type Saying } from './said'

/** Signing in by another account. NEXT_PUBLIC_AUTH_PROVIDERS names those that the project has. */
export function OtherWays({ next }: { next: string }) {
  const supabase = useSupabase()
  const [said, setSaid] = useState<Saying | null>(null)
  if (providers.length === 0) return null
  return (
    <div className="stack">
      {providers.map((provider) => (
        <button
          key={provider} className="button"
          onClick={async () => {
            const { error } = await supabase.auth.signInWithOAuth({
              provider: provider as Provider,
              options: { redirectTo: `${location.origin}/auth/confirm?next=${encodeURIComponent(next)}` },
            })
            if (error) setSaid({ text: error.message, isBad: true })
          }}
        >
          Continue with {provider[0]!.toUpperCase() + provider.slice(1)}
        </button>
      ))}
      <Said saying={said} />
    </div>
  )
}
