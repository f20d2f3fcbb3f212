// Drives supabase-js' auth against a running service and prints one JSON object of what it saw.
// argv: the folder whose node_modules hold supabase-js; stdin: {url, key, secret, email, email2, password, outbox}.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { patient } from './patient.mjs'

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
    global: { fetch: patient },
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
const redirected = async (link) => (await patient(link, { redirect: 'manual' })).headers.get('location')

const pause = () => new Promise((resolve) => setTimeout(resolve, 1100)) // mail leaves once a second at most

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
seen.claims = { alg: claims.header.alg, email: claims.claims.email, role: claims.claims.role, hooked: 'user_role' in claims.claims }
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

// Links and codes made by the server, so that no mail need be read.
const server = client(given.secret).auth.admin
const made_link = async (type, more = {}) => good(await server.generateLink({ type, email, ...more })).properties
const magic = await made_link('magiclink')
const welcome = new URL(await redirected(magic.action_link))
seen.link_tokens = Boolean(new URLSearchParams(welcome.hash.slice(1)).get('access_token'))
const again = new URL(await redirected(magic.action_link))
seen.link_again = new URLSearchParams(again.hash.slice(1)).get('error_code')
const typed_link = await made_link('recovery')
const by_code = client()
seen.otp = good(await by_code.auth.verifyOtp({ email, token: typed_link.email_otp, type: 'recovery' })).user.email
seen.otp_again = said((await client().auth.verifyOtp({ email, token: typed_link.email_otp, type: 'recovery' })).error)
const hashed = await made_link('magiclink')
const by_hash = await client().auth.verifyOtp({ token_hash: hashed.hashed_token, type: 'magiclink' })
seen.token_hash = good(by_hash).user.email
const new_email = `new-${email}`
const changes = []
for (const type of ['email_change_current', 'email_change_new']) {
  changes.push([type, (await made_link(type, { newEmail: new_email })).hashed_token])
}
for (const [type, token_hash] of changes) {
  const changed = good(await client().auth.verifyOtp({ token_hash, type: 'email_change' }))
  seen[type] = changed.user?.email ?? 'one of two'
}
good(await server.updateUserById(signedUp.user.id, { email, email_confirm: true }))

// What is refused.
const refused = client()
good(await refused.auth.signInWithPassword({ email, password }))
seen.phone = said((await client().auth.signInWithOtp({ phone: '+4915112345678' })).error)
seen.anonymous = said((await client().auth.signInAnonymously()).error)
const identity = { provider: 'github', options: { skipBrowserRedirect: true } }
seen.linking = said((await refused.auth.linkIdentity(identity)).error)
seen.sso = said((await client().auth.signInWithSSO({ domain: 'example.com', options: { skipBrowserRedirect: true } })).error)
seen.id_token = said((await client().auth.signInWithIdToken({ provider: 'google', token: 'x.y.z' })).error)
seen.reauthenticate = said((await refused.auth.reauthenticate()).error)
const odd = { email: given.email2, password_hash: '$2b$10$x' }
if (given.outbox) seen.admin_fields = said((await server.createUser(odd)).error)

if (given.outbox) {
// A magic link, ended by an auth code. Links that the server made count as mail.
await pause()
const pkce = client(given.key, 'pkce')
good(await pkce.auth.signInWithOtp({ email, options: { shouldCreateUser: false } }))
const code = new URL(await redirected((await mails(email))[0].link)).searchParams.get('code')
seen.pkce = good(await pkce.auth.exchangeCodeForSession(code)).session.user.email

// A typed code.
await pause()
good(await client().auth.resetPasswordForEmail(email))
const typed = (await mails(email))[0].code
const recovered = client()
good(await recovered.auth.verifyOtp({ email, token: typed, type: 'recovery' }))
good(await recovered.auth.updateUser({ password: 'another password' }))
seen.used = said((await client().auth.verifyOtp({ email, token: typed, type: 'recovery' })).error)
seen.new_password = good(await client().auth.signInWithPassword({ email, password: 'another password' })).user.email

await pause()
const invited = `invited-${email}`
good(await server.inviteUserByEmail(invited))
seen.invited = (await mails(invited))[0].kind
good(await client().auth.verifyOtp({ token_hash: new URL((await mails(invited))[0].link).searchParams.get('token'), type: 'invite' }))
}

const admin = client(given.secret).auth.admin
const made = good(await admin.createUser({ email: given.email2, email_confirm: true, app_metadata: { plan: 'pro' } })).user
seen.made = made.app_metadata
const page = good(await admin.listUsers({ page: 1, perPage: 1 }))
seen.page = { users: page.users.length, total: page.total >= 2, next: page.nextPage }
seen.link = good(await admin.generateLink({ type: 'magiclink', email: given.email2 })).properties.verification_type
good(await admin.deleteUser(made.id))
seen.deleted = said((await admin.getUserById(made.id)).error)
seen.not_admin = [401, 403].includes((await client().auth.admin.listUsers()).error?.status)
good(await admin.deleteUser(signedUp.user.id))
seen.events = [...new Set(events)]

console.log(JSON.stringify(seen))
