import NextLink from 'next/link'
import type { ComponentProps } from 'react'

/**
 * A link to a page of this application. Each page is rendered for the session that asks for it, so Next could fetch
 * nothing of use beforehand: a list of sixteen recordings would cost the server thirty requests, and the phone their time.
 */
export function Link(props: ComponentProps<typeof NextLink>) {
  return <NextLink prefetch={false} {...props} />
}
