import Link from 'next/link'
import type { ReactNode } from 'react'
import { createClient } from '@/lib/supabase/server'
import { Navigation } from './navigation'
import { SignOut } from './sign-out'

/** The frame of every page: who is signed in, where one can go, and the page itself. */
export async function Page({ children }: { children: ReactNode }) {
  const supabase = await createClient()
  const { data } = await supabase.auth.getClaims()
  const email = data?.claims.email as string | undefined
  return (
    <>
      <a className="skip" href="#content">
        Skip to content
      </a>
      <header className="top">
        <div>
          <Link className="name" href="/">
            SoundScape
          </Link>
          <Navigation isMember={Boolean(email)} />
          <div className="end">
            {email ? (
              <>
                <span className="soft small">{email}</span>
                <SignOut />
              </>
            ) : (
              <>
                <Link href="/sign-in">Sign in</Link>
                <Link className="button primary" href="/sign-up">
                  Sign up
                </Link>
              </>
            )}
          </div>
        </div>
      </header>
      <main id="content" className="page">
        {children}
      </main>
    </>
  )
}
