// The examples of docs/frontend.md, run as they stand. Each is the body of a function that is given what the page takes
// for granted.
import { createRequire, stripTypeScriptTypes } from 'node:module'
import { readFileSync } from 'node:fs'
import { patient } from './patient.mjs'

const { createClient } = createRequire(process.argv[2] + '/')('@supabase/supabase-js')
const { url, key, email, password, wav, examples, limit_s: limitS } = JSON.parse(readFileSync(0, 'utf8'))
const supabase = createClient(url, key, { global: { fetch: patient } })
const { data: { user } } = await supabase.auth.signUp({ email, password })

const refetched = []
const seen = {}
const given = {
  supabase, userId: user.id, audioId: '', waveformPath: '',
  file: new File([Buffer.from(wav, 'hex')], 'Dawn chorus.wav', { type: 'audio/wav' }),
  refetch: (table) => refetched.push(table ?? 'all'),
  document: Object.assign(new EventTarget(), { visibilityState: 'visible' }),
  location: { assign: (address) => (seen.led_to = address) },
  console: { log: () => {} },
}
let left = [...examples]

/** Run the one example that has these words, and return what its constants of these names hold. */
async function run(words, ...names) {
  const [text, another] = left.filter((example) => example.includes(words))
  if (!text || another) throw new Error(`${words} stands in ${another ? 'several examples' : 'no example'}`)
  left = left.filter((example) => example !== text)
  const body = `return (async () => {${stripTypeScriptTypes(`async function example() {${text}\nreturn { ${names.join(', ')} } }`)}
return example() })()`
  return new Function(...Object.keys(given), body)(...Object.values(given))
}

async function until(look) {
  for (const end = Date.now() + 1000 * limitS; Date.now() < end; ) {
    const found = await look()
    if (found) return found
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`${look} did not come about`)
}

await run("channel(`library:", 'channel')
await until(() => refetched.includes('all'))
const uploaded = await run('.upload(', 'data', 'error')
if (uploaded.error) throw uploaded.error
const row = await until(async () => {
  const { data } = await supabase.from('audio_files').select('id, title').eq('file_path', uploaded.data.path).maybeSingle()
  return data
})
seen.title = row.title
given.audioId = row.id
await run("channel(`recording:")
await until(async () => (await supabase.from('audio_files').select('status').eq('id', row.id).single()).data.status === 'ready')
await until(() => refetched.includes('audio_files'))
const before = refetched.length
await run('visibilitychange')
given.document.dispatchEvent(new Event('visibilitychange'))
seen.refetched_when_visible = refetched.slice(before)
const { recordings } = await run('data: recordings', 'recordings')
seen.listed = recordings.map(({ title, peaks }) => [title, peaks.length])
const { data: features } = await supabase.from('audio_features').select('waveform_path').eq('audio_id', row.id).single()
given.waveformPath = features.waveform_path
const { signed, peaks } = await run('data: signed', 'signed', 'peaks')
seen.played = (await fetch(signed.signedUrl)).status
seen.waveform_version = JSON.parse(await peaks.text()).version
await run('export_my_data')
seen.session = (await supabase.auth.getSession()).data.session
seen.signs_in_again = (await supabase.auth.signInWithPassword({ email, password })).data.user !== null
seen.not_run = left
console.log(JSON.stringify(seen))
process.exit(0)
