// Calls of supabase-js that the embedded Supabase refuses and a hosted one may serve; prints what each was told.
// argv: the folder whose node_modules hold supabase-js; stdin: {url, key, secret, token, refresh, user}.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const { createClient } = createRequire(process.argv[2] + '/')('@supabase/supabase-js')
const given = JSON.parse(readFileSync(0, 'utf8'))
const auth = { persistSession: false, autoRefreshToken: false }
const mine = createClient(given.url, given.key, { auth })
const server = createClient(given.url, given.secret, { auth })
await mine.auth.setSession({ access_token: given.token, refresh_token: given.refresh })
const told = async (asked) => {
  const { error } = await asked
  if (!error) return 'no error'
  const said = error.name === 'AuthApiError' ? error.code : error.message
  return [error.name, error.status ?? error.context.status, said]
}
const media = async (query) => (await query).error?.code

const web3 = { chain: 'ethereum', message: 'm', signature: '0x1' }
const files = server.storage.from('audio-files')
const seen = {
  explain: await media(mine.from('playlists').select('id').explain()),
  geojson: await media(mine.from('playlists').select('id').geojson()),
  vector_bucket: await told(server.storage.vectors.createBucket('left-out')),
  analytics_bucket: await told(server.storage.analytics.createBucket('left-out')),
  purge: await told(files.purgeCache('x')),
  purge_bucket: await told(server.storage.purgeBucketCache('audio-files')),
  web3: await told(mine.auth.signInWithWeb3(web3)),
  passkey: await told(mine.auth.passkey.startAuthentication()),
  passkeys: await told(mine.auth.passkey.list()),
  oauth: await told(mine.auth.oauth.listGrants()),
  admin_oauth: await told(server.auth.admin.oauth.listClients()),
  admin_providers: await told(server.auth.admin.customProviders.listProviders()),
  admin_passkeys: await told(server.auth.admin.passkey.listPasskeys({ userId: given.user })),
  mfa_challenge: await told(mine.auth.mfa.challenge({ factorId: given.user })),
  mfa_verify: await told(mine.auth.mfa.verify({ factorId: given.user, challengeId: given.user, code: '123456' })),
  mfa_unenroll: await told(mine.auth.mfa.unenroll({ factorId: given.user })),
  admin_mfa: await told(server.auth.admin.mfa.listFactors({ userId: given.user })),
  functions: await told(mine.functions.invoke('anything', { body: {} })),
}
process.stdout.write(JSON.stringify(seen))
process.exit(0)
