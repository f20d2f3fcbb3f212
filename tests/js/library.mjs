// Drives the private topics of a library and of a recording through supabase-js; prints one JSON object of what it saw.
// argv: the folder whose node_modules hold supabase-js; stdin: {url, key, token, refresh, user, theirs, their_recording}.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const { createClient } = createRequire(process.argv[2] + '/')('@supabase/supabase-js')
const given = JSON.parse(readFileSync(0, 'utf8'))
const auth = { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false }
const sockets = []
class Transport extends WebSocket {
  constructor(...address) {
    super(...address)
    sockets.push(this)
  }
}
const mine = createClient(given.url, given.key, { auth, realtime: { transport: Transport } })
const nobody = createClient(given.url, given.key, { auth })
const good = ({ data, error }) => {
  if (error) throw error
  return data
}
const open = (client, topic) => client.channel(topic, { config: { private: true } })
const joined = (channel) => new Promise((resolve) => channel.subscribe((status) => resolve(status)))
good(await mine.auth.setSession({ access_token: given.token, refresh_token: given.refresh }))
await mine.realtime.setAuth()

const seen = { heard: [], states: [] }
const waiting = []
const library = open(mine, `library:${given.user}`).on('broadcast', { event: '*' }, ({ event, payload }) => {
  if (payload.table !== 'audio_files') return
  for (const row of payload.rows) seen.heard.push([event, payload.operation, row.title])
  waiting.splice(0).forEach((look) => look())
})
const until = async (condition) => {
  while (!condition()) await new Promise((look) => waiting.push(look))
}
const told = (operation) => until(() => seen.heard.some(([event]) => event === operation))
const joins = (count) => until(() => seen.states.filter((state) => state === 'SUBSCRIBED').length === count)
library.subscribe((state) => {
  seen.states.push(state)
  waiting.splice(0).forEach((look) => look())
})
await joins(1)
const files = () => mine.from('audio_files')
const { id } = good(await files().insert({ title: 'first', file_path: `${given.user}/y.wav` }).select('id').single())
await told('INSERT')
good(await mine.auth.refreshSession())
good(await files().update({ title: 'second' }).eq('id', id))
await told('UPDATE')
seen.recording = await joined(open(mine, `recording:${id}`))
// A lost connection: the client joins again by itself and says so. That is when a page queries again.
sockets.at(-1).close(4000)
await joins(2)
good(await files().delete().eq('id', id))
await told('DELETE')
seen.refused = []
for (const [client, topic] of [
  [mine, `library:${given.theirs}`],
  [mine, `recording:${given.their_recording}`],
  [nobody, `library:${given.user}`],
  [nobody, `recording:${given.their_recording}`],
])
  seen.refused.push(await joined(open(client, topic)))
process.stdout.write(JSON.stringify(seen))
process.exit(0)
