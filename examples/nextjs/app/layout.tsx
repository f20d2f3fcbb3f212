import type { Metadata, Viewport } from 'next'
import { cookies } from 'next/headers'
import type { ReactNode } from 'react'
import { siteUrl } from '@/lib/site'
import { createClient } from '@/lib/supabase/server'
import './globals.css'
import { Providers } from './providers'

export const metadata: Metadata = {
  metadataBase: new URL(siteUrl()),
  title: { default: 'SoundScape', template: '%s · SoundScape' },
  description: 'A home for recordings: upload a sound and read what it is.',
}
export const viewport: Viewport = {
  width: 'device-width',
  initialScale: 1,
  themeColor: [
    { media: '(prefers-color-scheme: light)', color: '#ffffff' },
    { media: '(prefers-color-scheme: dark)', color: '#191c22' },
  ],
}

export default async function Layout({ children }: { children: ReactNode }) {
  // Reading cookies makes every page dynamic, as the nonce of the content policy needs it.
  const theme = (await cookies()).get('theme')?.value
  const supabase = await createClient()
  const { data } = await supabase.auth.getClaims()
  return (
    <html lang="en" data-theme={theme === 'light' || theme === 'dark' ? theme : undefined}>
      <body>
        <Providers userId={data?.claims.sub ?? null}>{children}</Providers>
      </body>
    </html>
  )
}
