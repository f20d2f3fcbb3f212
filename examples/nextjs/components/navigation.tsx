'use client'

import Link from 'next/link'
import { usePathname } from 'next/navigation'

const everybody = [{ href: '/search', label: 'Search' }]
const members = [
  { href: '/library', label: 'Library' },
  { href: '/search', label: 'Search' },
  { href: '/for-you', label: 'For you' },
  { href: '/playlists', label: 'Playlists' },
]

export function Navigation({ isMember }: { isMember: boolean }) {
  const path = usePathname()
  return (
    <nav aria-label="Main">
      {(isMember ? members : everybody).map(({ href, label }) => (
        <Link key={href} href={href} aria-current={path.startsWith(href) ? 'page' : undefined}>
          {label}
        </Link>
      ))}
    </nav>
  )
}
