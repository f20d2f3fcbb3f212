'use client'

import { usePathname } from 'next/navigation'
import { useEffect, useRef, type ReactNode } from 'react'

/** A button that opens a panel. Escape, a click elsewhere and a new page close it. */
export function Menu({ label, button, children, onOpen, isStart = false }: {
  label: string
  button: ReactNode
  children: ReactNode
  onOpen?: () => void
  /** The panel begins where the button does, instead of ending there. */
  isStart?: boolean
}) {
  const menu = useRef<HTMLDetailsElement>(null)
  const path = usePathname()
  useEffect(() => menu.current?.removeAttribute('open'), [path])
  useEffect(() => {
    const close = (event: Event) => {
      if (!menu.current?.open) return
      if (event instanceof KeyboardEvent ? event.key !== 'Escape' : menu.current.contains(event.target as Node)) return
      menu.current.open = false
      if (event instanceof KeyboardEvent) menu.current.querySelector('summary')?.focus()
    }
    document.addEventListener('click', close)
    document.addEventListener('keydown', close)
    return () => {
      document.removeEventListener('click', close)
      document.removeEventListener('keydown', close)
    }
  }, [])
  return (
    <details ref={menu} className="menu" data-start={isStart} onToggle={(event) => event.currentTarget.open && onOpen?.()}>
      <summary aria-label={label}>{button}</summary>
      <div>{children}</div>
    </details>
  )
}
