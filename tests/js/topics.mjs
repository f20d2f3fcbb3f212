// Drives supabase-js' realtime on the project's own tables and prints one JSON object of what it saw.
// argv: the folder whose node_modules hold supabase-js; stdin: {url, key, token, refresh, topic, user}.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const { createClient } = createRequire(process.argv[2] + '/')('@supabase/supabase-js')
const given = JSON.parse(readFileSync(0, 'utf8'))
const auth = { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false }
const mine = createClient(given.url, given.key, { auth })
const other = createClient(given.url, given.key, { auth })
const seen = {}

const joined = (channel) => new Promise((resolve) => channel.subscribe((status) => resolve(status)))
const first = (register) =>
  new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error('nothing within 20 s: ' + register)), 20_000).unref()
    register(resolve)
  })
const good = ({ data, error }) => {
  if (error) throw error
  return data
}
good(await mine.auth.setSession({ access_token: given.token, refresh_token: given.refresh }))
await mine.realtime.setAuth()

const changes = mine.channel(given.topic)
const on = (event, filter) =>
  first((resolve) => changes.on('postgres_changes', { event, schema: 'public', table: 'audio_files', filter }, resolve))
const ready = first((resolve) => changes.on('system', {}, resolve))
const [inserted, updated] = [on('INSERT', 'title=eq."a, b"'), on('UPDATE')]
const all = []
const last = first((resolve) =>
  changes.on('postgres_changes', { event: '*', schema: 'public', table: 'audio_files' }, (change) => {
    all.push(change.eventType)
    if (change.new.title === 'd') resolve(all)
  }),
)
seen.joined = await joined(changes)
await ready
const files = () => mine.from('audio_files')
const { id } = good(await files().insert({ title: 'a, b', file_path: `${given.user}/x.wav` }).select().single())
const insertion = await inserted
seen.inserted = [insertion.eventType, insertion.new.title, insertion.new.id === id]
good(await mine.auth.refreshSession()) // the client hands the new token to its open channels
good(await files().update({ title: 'c' }).eq('id', id))
const update = await updated
seen.updated = [update.eventType, update.new.title]
good(await files().delete().eq('id', id))
// The project publishes no deletions: the next event is the next insertion.
good(await files().insert({ title: 'd', file_path: `${given.user}/y.wav` }))
seen.all = await last

const sender = mine.channel(given.topic + '-b', { config: { broadcast: { ack: true } } })
const hearer = other.channel(given.topic + '-b')
const heard = (event) => first((resolve) => hearer.on('broadcast', { event }, resolve))
const [shout, bytes, http] = [heard('shout'), heard('bytes'), heard('over http')]
await joined(sender)
await joined(hearer)
seen.sent = await sender.send({ type: 'broadcast', event: 'shout', payload: { words: 'é😀' } })
seen.heard = (await shout).payload
await sender.send({ type: 'broadcast', event: 'bytes', payload: new Uint8Array([0, 255]).buffer })
seen.bytes = [...new Uint8Array((await bytes).payload)]
await sender.httpSend('over http', { a: [1, null] })
seen.http = (await http).payload

const watcher = other.channel(given.topic + '-p', { config: { presence: { key: 'watcher' } } })
const came = first((resolve) => watcher.on('presence', { event: 'join' }, resolve))
const left = first((resolve) => watcher.on('presence', { event: 'leave' }, resolve))
await joined(watcher)
const watched = mine.channel(given.topic + '-p', { config: { presence: { key: 'watched' } } })
await joined(watched)
await watched.track({ mood: 'calm' })
const arrival = await came
seen.came = [arrival.key, arrival.newPresences[0].mood]
await watched.untrack()
seen.left = (await left).key

seen.private = await joined(mine.channel(given.topic + '-x', { config: { private: true } }))
seen.left_channel = await mine.removeChannel(changes)
process.stdout.write(JSON.stringify(seen))
process.exit(0)
