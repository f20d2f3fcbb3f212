// Drives supabase-js' auth against a running service and prints one JSON object of what it saw.
// argv: the folder whose node_modules hold supabase-js; stdin: {url, key, secret, email, email2, password}.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const { createClient } = createRequire(process.argv[2] + '/')('@supabase/supabase-js')
const given = JSON.parse(readFileSync(0, 'utf8'))
const seen = {}

const client = (key = given.key, flowType = 'implicit') => {
  const kept = new Map()
  const storage = {
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, value) => void kept.set(name, value),
    removeItem: (name) => void kept.delete(name),
  }
  return createClient(given.url, key, {
    auth: { persistSession: true, storage, autoRefreshToken: false, detectSessionInUrl: false, flowType },
  })
}
const said = (error) => error && { name: error.name, status: error.status, code: error.code }
const good = ({ data, error }) => {
  if (error) throw error
  return data
}
const mails = async (to) => {
  const answer = await fetch(`${given.url}/api/dev/mail?to=${encodeURIComponent(to)}`)
  return (await answer.json()).mail
}
const redirected = async (link) => (await fetch(link, { redirect: 'manual' })).headers.get('location')

const { email, password } = given
const mine = client()
const events = []
mine.auth.onAuthStateChange((event) => events.push(event))

const signedUp = good(await mine.auth.signUp({ email, password, options: { data: { name: 'Ada' } } }))
seen.user = { email: signedUp.user.email, metadata: signedUp.user.user_metadata.name, app: signedUp.user.app_metadata }
seen.identities = signedUp.user.identities.map((identity) => identity.provider)
seen.again = said((await client().auth.signUp({ email, password })).error)
seen.weak = said((await client().auth.signUp({ email: given.email2, password: 'short' })).error)
seen.wrong = said((await client().auth.signInWithPassword({ email, password: 'wrong one' })).error)

// ES256 with a kid: verified against the JWKS, without asking the server about the user.
const claims = good(await mine.auth.getClaims())
seen.claims = { alg: claims.header.alg, email: claims.claims.email, role: claims.claims.role }
seen.get_user = good(await mine.auth.getUser()).user.email
const before = good(await mine.auth.getSession()).session
const after = good(await mine.auth.refreshSession()).session
seen.rotated = before.refresh_token !== after.refresh_token
seen.updated = good(await mine.auth.updateUser({ data: { name: 'Countess' } })).user.user_metadata.name
seen.assurance = good(await mine.auth.mfa.getAuthenticatorAssuranceLevel())
seen.enroll = said((await mine.auth.mfa.enroll({ factorType: 'totp' })).error)

const elsewhere = client()
good(await elsewhere.auth.signInWithPassword({ email, password }))
good({ error: (await elsewhere.auth.signOut({ scope: 'others' })).error })
seen.signed_out = said((await mine.auth.getUser()).error)
good({ error: (await elsewhere.auth.signOut()).error })

// A magic link, ended by an auth code.
const pkce = client(given.key, 'pkce')
good(await pkce.auth.signInWithOtp({ email, options: { shouldCreateUser: false } }))
const code = new URL(await redirected((await mails(email))[0].link)).searchParams.get('code')
seen.pkce = good(await pkce.auth.exchangeCodeForSession(code)).session.user.email

// A typed code.
good(await client().auth.resetPasswordForEmail(email))
const typed = (await mails(email))[0].code
const recovered = client()
good(await recovered.auth.verifyOtp({ email, token: typed, type: 'recovery' }))
good(await recovered.auth.updateUser({ password: 'another password' }))
seen.used = said((await client().auth.verifyOtp({ email, token: typed, type: 'recovery' })).error)
seen.new_password = good(await client().auth.signInWithPassword({ email, password: 'another password' })).user.email

const admin = client(given.secret).auth.admin
const made = good(await admin.createUser({ email: given.email2, email_confirm: true, app_metadata: { plan: 'pro' } })).user
seen.made = made.app_metadata
const page = good(await admin.listUsers({ page: 1, perPage: 1 }))
seen.page = { users: page.users.length, total: page.total >= 2, next: page.nextPage }
seen.link = good(await admin.generateLink({ type: 'magiclink', email: given.email2 })).properties.verification_type
good(await admin.deleteUser(made.id))
seen.deleted = said((await admin.getUserById(made.id)).error)
seen.not_admin = said((await client().auth.admin.listUsers()).error)
const oauth = await client().auth.signInWithOAuth({ provider: 'google', options: { skipBrowserRedirect: true } })
seen.oauth = new URL(oauth.data.url).pathname
seen.events = [...new Set(events)]

console.log(JSON.stringify(seen))
