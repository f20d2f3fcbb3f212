// The calls of the design, verbatim, as a Next.js frontend makes them.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { patient } from './patient.mjs'

const { createClient } = createRequire(process.argv[2] + '/')('@supabase/supabase-js')
const given = JSON.parse(readFileSync(0, 'utf8'))
const supabase = createClient(given.url, given.key, { global: { fetch: patient } })
const errors = {}
const note = (name, { data, error }) => {
  if (error) errors[name] = `${error.name ?? ''} ${error.message}`
  return data
}

const { user } = note('signUp', await supabase.auth.signUp({ email: given.email, password: given.password }))
note('signOut', await supabase.auth.signOut().then((answer) => ({ data: null, ...answer })))
note('signIn', await supabase.auth.signInWithPassword({ email: given.email, password: given.password }))
const userId = user.id

const users = note('users', await supabase.from('users').select('*').eq('id', userId))

const statuses = []
let finished
const ended = new Promise((resolve) => { finished = resolve })
const channel = supabase.channel('mine').on(
  'postgres_changes',
  { event: '*', schema: 'public', table: 'audio_files', filter: `user_id=eq.${userId}` },
  ({ new: row }) => {
    statuses.push(row.status)
    if (['ready', 'failed', 'rejected'].includes(row.status)) finished(row)
  },
)
await new Promise((resolve, reject) => channel.on('system', {}, ({ status }) => status === 'ok' && resolve())
  .subscribe((state, error) => error && reject(error)))

const bytes = Buffer.from(given.wav, 'hex')
const name = 'public/' + given.filename
note('upload', await supabase.storage.from('audio-files').upload(name, bytes, {
  contentType: 'audio/mpeg', cacheControl: '3600',
}))
note('insert', await supabase.from('audio_files').insert([
  { title: 'Verbatim', user_id: userId, duration: 9, file_path: name, is_public: false },
]))
const row = await ended
const mine = note('select', await supabase.from('audio_files').select('*').eq('user_id', userId))
const signed = note('sign', await supabase.storage.from('audio-files').createSignedUrl(name, 3600))
const range = await fetch(signed.signedUrl, { headers: { range: 'bytes=0-9' } })
const back = note('download', await supabase.storage.from('audio-files').download(name))

const stranger = createClient(given.url, given.key)
const strangerRows = note('stranger', await stranger.from('audio_files').select('*').eq('user_id', userId))

await supabase.removeAllChannels()
const out = await supabase.auth.signOut()
const { data: { session } } = await supabase.auth.getSession()
process.stdout.write(JSON.stringify({
  errors,
  users: users.length,
  status: row.status,
  statuses,
  duration: mine[0].duration,
  same_bytes: bytes.equals(Buffer.from(await back.arrayBuffer())),
  signed_status: range.status,
  stranger_rows: strangerRows.length,
  signed_out: !out.error && session === null,
}))
process.exit(0)
