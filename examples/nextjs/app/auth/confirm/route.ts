import type { EmailOtpType } from '@supabase/supabase-js'
import { NextResponse, type NextRequest } from 'next/server'
import { createClient } from '@/lib/supabase/server'

/** Where links in mails lead: they carry a code, or the hash of a token, and become a session here. */
export async function GET(request: NextRequest) {
  const { searchParams } = request.nextUrl
  const next = searchParams.get('next') ?? '/library'
  const target = new URL(next.startsWith('/') && !next.startsWith('//') ? next : '/library', request.url)
  const supabase = await createClient()
  const code = searchParams.get('code')
  const tokenHash = searchParams.get('token_hash')
  const type = searchParams.get('type') as EmailOtpType | null
  const { error } = code
    ? await supabase.auth.exchangeCodeForSession(code)
    : tokenHash && type
      ? await supabase.auth.verifyOtp({ token_hash: tokenHash, type })
      : { error: { message: searchParams.get('error_description') ?? 'This link is incomplete. Ask for a new one.' } }
  if (!error) return NextResponse.redirect(target)
  const signIn = new URL('/sign-in', request.url)
  signIn.searchParams.set('error', error.message)
  return NextResponse.redirect(signIn)
}
