import type { EmailOtpType } from '@supabase/supabase-js'
import { NextResponse, type NextRequest } from 'next/server'
import { pathWithin, siteUrl } from '@/lib/site'
import { createClient } from '@/lib/supabase/server'

/** Where links in mails and identity providers lead: they carry a code, or the hash of a token, and become a session. */
export async function GET(request: NextRequest) {
  const { searchParams } = request.nextUrl
  const target = new URL(pathWithin(searchParams.get('next'), '/library'), siteUrl(request))
  const supabase = await createClient()
  const code = searchParams.get('code')
  const tokenHash = searchParams.get('token_hash')
  const type = searchParams.get('type') as EmailOtpType | null
  const message = searchParams.get('message')
  const problem = searchParams.get('error_description')
  if (message && !problem) {
    // The first of two links of a changed address: nothing is to be exchanged yet.
    target.searchParams.set('said', message)
    return NextResponse.redirect(target)
  }
  const { error } = code
    ? await supabase.auth.exchangeCodeForSession(code)
    : tokenHash && type
      ? await supabase.auth.verifyOtp({ token_hash: tokenHash, type })
      : { error: { message: problem ?? 'This link is incomplete. Ask for a new one.' } }
  if (!error) return NextResponse.redirect(target)
  const signIn = new URL('/sign-in', siteUrl(request))
  signIn.searchParams.set('error', error.message)
  return NextResponse.redirect(signIn)
}
