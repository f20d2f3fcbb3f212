import type { ReactNode } from 'react'
import { createClient } from '@/lib/supabase/server'
import { AccountMenu } from './account-menu'
import { Bell } from './bell'
import { Icon } from './icons'
import { Link } from './link'
import { Navigation } from './navigation'

/** The frame of every page: who is signed in, where one can go, and the page itself. */
export async function Page({ children }: { children: ReactNode }) {
  const supabase = await createClient()
  const { data } = await supabase.auth.getClaims()
  const claims = data?.claims
  return (
    <>
      <a className="skip" href="#content">
        Skip to content
      </a>
      <header className="top">
        <div>
          <Link className="name" href="/">
            <Icon name="wave" /> SoundScape
          </Link>
          <Navigation isMember={Boolean(claims)} />
          <div className="end">
            {claims ? (
              <>
                <Bell userId={claims.sub} />
                <AccountMenu
                  userId={claims.sub} email={String(claims.email ?? '')} role={String(claims.user_role ?? '')}
                  name={String(claims.user_metadata?.display_name ?? '')}
                />
              </>
            ) : (
              <>
                <Link className="button plain" href="/sign-in">
                  Sign in
                </Link>
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
