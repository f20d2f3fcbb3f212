import { createServerClient } from '@supabase/ssr'
import { NextResponse, type NextRequest } from 'next/server'
import { publishableKey, supabaseUrl, workerUrl } from '@/lib/supabase/settings'

const membersOnly = new Set([
  '/library', '/for-you', '/playlists', '/account', '/account/keys', '/account/notifications',
  '/likes', '/history', '/stats', '/duplicates', '/identify', '/live', '/desk', '/operator',
])

/** Before each page: refresh the session, keep strangers out of members' pages, and set the content policy. */
export async function proxy(request: NextRequest) {
  const nonce = Buffer.from(crypto.randomUUID()).toString('base64')
  const policy = contentPolicy(nonce, request.nextUrl.pathname.startsWith('/embed/'))
  const forwarded = new Headers(request.headers)
  forwarded.set('x-nonce', nonce)
  forwarded.set('content-security-policy', policy)

  let response = NextResponse.next({ request: { headers: forwarded } })
  const supabase = createServerClient(supabaseUrl, publishableKey, {
    cookies: {
      getAll: () => request.cookies.getAll(),
      setAll: (all) => {
        all.forEach(({ name, value }) => request.cookies.set(name, value))
        forwarded.set('cookie', request.cookies.toString())
        response = NextResponse.next({ request: { headers: forwarded } })
        all.forEach(({ name, value, options }) => response.cookies.set(name, value, options))
      },
    },
  })
  // Nothing may stand between making the client and this call: it refreshes the tokens.
  const { data } = await supabase.auth.getClaims()

  const { pathname } = request.nextUrl
  if (!data?.claims && membersOnly.has(pathname)) {
    const signIn = new URL('/sign-in', request.url)
    signIn.searchParams.set('next', pathname)
    response = NextResponse.redirect(signIn)
  }
  response.headers.set('content-security-policy', policy)
  response.headers.set('referrer-policy', 'strict-origin-when-cross-origin')
  response.headers.set('x-content-type-options', 'nosniff')
  return response
}

function contentPolicy(nonce: string, isEmbed: boolean): string {
  const backend = new Set([supabaseUrl, workerUrl].flatMap((url) => [url, url.replace(/^http/, 'ws')]))
  const isDevelopment = process.env.NODE_ENV === 'development'
  return [
    `default-src 'self'`,
    `script-src 'self' 'nonce-${nonce}' 'strict-dynamic'${isDevelopment ? " 'unsafe-eval'" : ''}`,
    // wavesurfer draws into a shadow root with a style element of its own.
    `style-src 'self' 'unsafe-inline'`,
    `img-src 'self' data: blob: ${supabaseUrl}`,
    `media-src 'self' blob: ${supabaseUrl}`,
    `connect-src 'self' ${[...backend].join(' ')}`,
    `font-src 'self'`,
    `object-src 'none'`,
    `base-uri 'none'`,
    `form-action 'self'`,
    `frame-ancestors ${isEmbed ? '*' : "'none'"}`,
  ].join('; ')
}

export const config = {
  matcher: [{ source: '/((?!_next/static|_next/image|favicon.ico|icon.svg).*)' }],
}
