// Drives supabase-js against an Auth service with providers, confirmations and anonymous users.
// argv: the folder whose node_modules hold supabase-js; stdin: {url, key, email, email2, password, app}.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const { createClient } = createRequire(process.argv[2] + '/')('@supabase/supabase-js')
const given = JSON.parse(readFileSync(0, 'utf8'))
const seen = {}

const client = (flowType = 'implicit') => {
  const kept = new Map()
  const storage = {
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => void kept.set(name, value),
    removeItem: (name) => void kept.delete(name),
  }
  const auth = { persistSession: true, storage, autoRefreshToken: false, detectSessionInUrl: false, flowType }
  return createClient(given.url, given.key, { auth })
}
const good = ({ data, error }) => {
  if (error) throw error
  return data
}
const mails = async (to) =>
  (await (await fetch(`${given.url}/api/dev/mail?to=${encodeURIComponent(to)}`)).json()).mail
const redirected = async (link) => (await fetch(link, { redirect: 'manual' })).headers.get('location')

// An anonymous user.
const nobody = client()
seen.anonymous = good(await nobody.auth.signInAnonymously()).user.is_anonymous

// Sign-up that waits for its mail; the mail may be sent again.
const { email, password } = given
const waiting = good(await client().auth.signUp({ email, password }))
seen.session_before = waiting.session
seen.unconfirmed = (await client().auth.signInWithPassword({ email, password })).error.code
good(await client().auth.resend({ type: 'signup', email }))
const [newest, first] = await mails(email)
seen.first_link = new URLSearchParams(new URL(await redirected(first.link)).hash.slice(1)).get('error_code')
const confirmed = good(await client().auth.verifyOtp({ email, token: newest.code, type: 'signup' }))
seen.confirmed = confirmed.session.user.email

// A provider, with PKCE on both legs.
const app = client('pkce')
const options = { redirectTo: given.app, skipBrowserRedirect: true }
let at = good(await app.auth.signInWithOAuth({ provider: 'keycloak', options })).url
while (!at.startsWith(given.app)) at = await redirected(at)
const code = new URL(at).searchParams.get('code')
const session = good(await app.auth.exchangeCodeForSession(code)).session
seen.oauth = { email: session.user.email, provider: session.user.app_metadata.provider, token: Boolean(session.provider_token) }
seen.spent = (await app.auth.exchangeCodeForSession(code)).error !== null

console.log(JSON.stringify(seen))
