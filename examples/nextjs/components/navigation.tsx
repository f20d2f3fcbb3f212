'use client'

import { usePathname } from 'next/navigation'
import { Icon, type IconName } from './icons'
import { Link } from './link'

interface Place {
  href: string
  label: string
  icon: IconName
}

const everybody: Place[] = [{ href: '/search', label: 'Search', icon: 'search' }]
const members: Place[] = [
  { href: '/library', label: 'Library', icon: 'library' },
  { href: '/search', label: 'Search', icon: 'search' },
  { href: '/identify', label: 'Identify', icon: 'identify' },
  { href: '/live', label: 'Live', icon: 'live' },
  { href: '/for-you', label: 'For you', icon: 'forYou' },
  { href: '/playlists', label: 'Playlists', icon: 'playlists' },
]

export function Navigation({ isMember }: { isMember: boolean }) {
  const path = usePathname()
  return (
    <nav aria-label="Main">
      {(isMember ? members : everybody).map(({ href, label, icon }) => (
        <Link key={href} href={href} aria-current={path.startsWith(href) ? 'page' : undefined}>
          <Icon name={icon} /> {label}
        </Link>
      ))}
    </nav>
  )
}
