'use client'

import { useRouter } from 'next/navigation'
import { useSupabase } from '@/app/providers'

export function SignOut() {
  const supabase = useSupabase()
  const router = useRouter()
  return (
    <button
      className="plain"
      onClick={async () => {
        await supabase.auth.signOut({ scope: 'local' })
        router.push('/')
        router.refresh()
      }}
    >
      Sign out
    </button>
  )
}
