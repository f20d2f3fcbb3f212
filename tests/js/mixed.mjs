// Several users of supabase-js at once, each reading, writing, uploading and listening; prints whose ids each met.
// argv: the folder whose node_modules hold supabase-js; stdin: {url, key, users: [[id, token], …]}.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const { createClient } = createRequire(process.argv[2] + '/')('@supabase/supabase-js')
const given = JSON.parse(readFileSync(0, 'utf8'))
const good = ({ data, error }) => {
  if (error) throw error
  return data
}

const live = async ([id, token]) => {
  const met = new Set()
  const client = createClient(given.url, given.key, { accessToken: async () => token })
  await client.realtime.setAuth()
  const again = `again by ${id}`
  let heard
  const told = new Promise((resolve) => { heard = resolve })
  const channel = client.channel(`own-${id}`).on(
    'postgres_changes', { event: '*', schema: 'public', table: 'audio_files' }, ({ new: row }) => {
      if (row.user_id) met.add(row.user_id)
      if (row.title === again) heard()
    })
  await new Promise((resolve, reject) => channel.on('system', {}, ({ status }) => status === 'ok' && resolve())
    .subscribe((_, error) => error && reject(error)))
  const name = `${id}/js.wav`
  const files = client.storage.from('audio-files')
  good(await files.upload(name, Buffer.from(id.repeat(20)), { contentType: 'audio/wav' }))
  good(await client.from('audio_files').insert({ title: `by ${id}`, file_path: name }))
  good(await client.from('playlists').insert({ title: `of ${id}` }))
  const read = await Promise.all([
    client.from('audio_files').update({ title: again }).neq('title', '').select(),
    client.from('audio_files').select('*'),
    client.from('playlists').select('*'),
    client.rpc('search_audio', { query: 'by' }).select('user_id:recording->>user_id'),
  ])
  for (const row of read.flatMap(good)) met.add(row.user_id)
  const bytes = Buffer.from(await good(await files.download(name)).arrayBuffer()).toString()
  if (bytes !== id.repeat(20)) met.add('bytes of another')
  await told
  await client.removeAllChannels()
  return [id, [...met]]
}

process.stdout.write(JSON.stringify(Object.fromEntries(await Promise.all(given.users.map(live)))))
process.exit(0)
