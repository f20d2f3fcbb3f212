'use client'

import { useLeave, useSupabase } from '@/app/providers'
import { unsubscribe } from '@/lib/soundscape/notifications'
import { Link } from './link'
import { Menu } from './menu'

const LINKS = [
  { href: '/likes', label: 'Likes' },
  { href: '/history', label: 'Listening history' },
  { href: '/stats', label: 'Statistics' },
  { href: '/duplicates', label: 'Duplicates' },
  { href: '/account', label: 'Account' },
  { href: '/account/notifications', label: 'Notifications' },
]

export function AccountMenu({ userId, name, email, role }: { userId: string; name: string; email: string; role: string }) {
  const supabase = useSupabase()
  const leave = useLeave()
  return (
    <Menu label="Your account" button={<span className="avatar" aria-hidden="true">{[...(name || email)][0]}</span>}>
      <span className="who small soft">
        {name && <strong dir="auto" style={{ display: 'block', color: 'var(--ink)' }}>{name}</strong>}
        {email}
      </span>
      <Link href={`/users/${userId}`}>Your page</Link>
      {LINKS.map(({ href, label }) => (
        <Link key={href} href={href}>
          {label}
        </Link>
      ))}
      {(role === 'moderator' || role === 'admin') && <Link href="/desk">Moderator’s desk</Link>}
      {role === 'admin' && <Link href="/operator">Operator</Link>}
      <button
        onClick={async () => {
          // Whoever signs in here next gets none of this account's pushes.
          await unsubscribe(supabase).catch(() => undefined)
          await leave('/')
        }}
      >
        Sign out
      </button>
    </Menu>
  )
}
