// Drives supabase-js' realtime against a running project and prints one JSON object of what it saw.
// argv: the folder whose node_modules hold supabase-js; stdin: {url, key, token, team, table…}.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const { createClient } = createRequire(process.argv[2] + '/')('@supabase/supabase-js')
const given = JSON.parse(readFileSync(0, 'utf8'))
const seen = {}

const client = (token) =>
  createClient(given.url, given.key, token ? { accessToken: async () => token } : { auth: { persistSession: false } })
const joined = (channel) =>
  new Promise((resolve) => channel.subscribe((status, error) => resolve([status, error?.message ?? null])))
const first = (register, within_ms = 5000) =>
  new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error('nothing in time: ' + register)), within_ms).unref()
    register(resolve)
  })

// a channel ends with its token
const brief = client(given.brief)
await brief.realtime.setAuth()
const ending = brief.channel('brief')
const expired = first((resolve) => ending.on('system', {}, ({ message }) => resolve(message)), 20_000)
const closed = new Promise((resolve) => ending.subscribe((status) => status === 'CLOSED' && resolve(status)))

const mine = client(given.token)
const other = client()
await mine.realtime.setAuth() // asks for the token now, so that the first join already carries it

// postgres_changes
const changes = mine.channel('changes')
const ready = first((resolve) => changes.on('system', {}, resolve))
const inserted = first((resolve) =>
  changes.on(
    'postgres_changes',
    { event: 'INSERT', schema: given.schema, table: 'notes', filter: 'title=eq.from js' },
    resolve,
  ),
)
const deleted = first((resolve) =>
  changes.on('postgres_changes', { event: 'DELETE', schema: given.schema, table: 'notes' }, resolve),
)
seen.changes_status = await joined(changes)
seen.ready = (await ready).status
process.stdout.write('ready\n')
seen.inserted = await inserted

// the socket is cut: the client comes back and joins again by itself
const back = first((resolve) => changes.on('system', {}, resolve), 15_000)
mine.realtime.socketAdapter.getSocket().conn.close(4000, 'cut')
seen.back = (await back).status
process.stdout.write('inserted\n')
seen.deleted = await deleted

// broadcast, both ways and as bytes
const sender = mine.channel('room', { config: { broadcast: { ack: true } } })
const hearer = other.channel('room')
const shout = first((resolve) => hearer.on('broadcast', { event: 'shout' }, resolve))
const bytes = first((resolve) => hearer.on('broadcast', { event: 'bytes' }, resolve))
const http = first((resolve) => hearer.on('broadcast', { event: 'over http' }, resolve))
await joined(sender)
await joined(hearer)
seen.sent = await sender.send({ type: 'broadcast', event: 'shout', payload: { words: 'é😀' } })
seen.shout = await shout
await sender.send({ type: 'broadcast', event: 'bytes', payload: new Uint8Array([0, 255]).buffer })
seen.bytes = [...new Uint8Array((await bytes).payload)]
seen.http_sent = await sender.httpSend('over http', { a: [1, null] })
seen.http = (await http).payload

// presence
const watcher = other.channel('present', { config: { presence: { key: 'watcher' } } })
const arrived = first((resolve) => watcher.on('presence', { event: 'join' }, resolve))
const gone = first((resolve) => watcher.on('presence', { event: 'leave' }, resolve))
await joined(watcher)
const tracked = mine.channel('present', { config: { presence: { key: 'alice' } } })
await joined(tracked)
seen.track = await tracked.track({ mood: 'calm' })
const arrival = await arrived
seen.arrived = [arrival.key, arrival.newPresences[0].mood]
seen.untrack = await tracked.untrack()
seen.gone = (await gone).key

// private topics
const member = mine.channel(given.team, { config: { private: true } })
const private_message = first((resolve) => member.on('broadcast', { event: 'e' }, resolve))
seen.member = await joined(member)
seen.outsider = await joined(other.channel(given.team, { config: { private: true } }))
process.stdout.write('private\n')
seen.private_message = (await private_message).payload.a
seen.left = await mine.removeChannel(member)
seen.expired = [await expired, await closed]

await mine.removeAllChannels()
await other.removeAllChannels()
process.stdout.write('seen\n' + JSON.stringify(seen) + '\n')
process.exit(0)
