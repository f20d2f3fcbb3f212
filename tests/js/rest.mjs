// Drives supabase-js' Data API client against the record shop and prints one JSON object of what it saw.
// argv: the folder whose node_modules hold supabase-js; stdin: {url, key, secret, token}.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const { createClient } = createRequire(process.argv[2] + '/')('@supabase/supabase-js')
const given = JSON.parse(readFileSync(0, 'utf8'))
const auth = { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false }
const api = createClient(given.url, given.secret, { auth })
const stranger = createClient(given.url, given.key, { auth })
const user = createClient(given.url, given.key, { auth, accessToken: undefined, global: { headers: { Authorization: `Bearer ${given.token}` } } })
const seen = {}
const note = async (name, query, shown = ({ data }) => data) => {
  const answer = await query
  seen[name] = answer.error ? { error: answer.error, status: answer.status } : shown(answer)
}

await note('select', api.from('labels').select('id, name').order('id').limit(2))
await note('count', api.from('albums').select('*', { count: 'exact', head: true }), ({ count, status }) => ({ count, status }))
await note('planned', api.from('albums').select('id', { count: 'planned' }), ({ count }) => Number.isInteger(count))
await note('embed', api.from('albums').select(`
  title,
  maker:artists!albums_artist_id_fkey ( name, labels ( name ) ),
  genres ( name )
`).eq('id', 1).order('name', { referencedTable: 'genres' }).single())
await note('inner', api.from('artists').select('name, labels!inner()').eq('labels.name', 'Warp').order('name'))
await note('spread', api.from('artists').select('name, ...labels(label:name)').eq('id', 3))
await note('filters', api.from('albums').select('id').or('id.eq.1,tags.cs.{"drum, bass"}').not('id', 'in', '(2,3)').order('id'))
await note('contains', api.from('albums').select('id').contains('tags', ['idm']).contains('data', { a: 2 }))
await note('search', api.from('albums').select('id').textSearch('title', 'tri repetae', { type: 'websearch', config: 'english' }))
await note('regex', api.from('albums').select('id').regexMatch('title', '^G').isDistinct('price', 12))
await note('range', api.from('albums').select('id').order('id').range(1, 2))
await note('maybe', api.from('labels').select('name').eq('id', 99).maybeSingle())
await note('single', api.from('labels').select('name').single())
await note('csv', api.from('genres').select('*').order('id').csv())
await note('stripped', api.from('labels').select('*').eq('id', 3).stripNulls())
await note('unknown_table', api.from('label').select('*'))
await note('unknown_column', api.from('labels').select('nam'))
await note('ambiguous', api.from('albums').select('id, artists(name)'), undefined)

await note('insert', api.from('labels').insert({ id: 300, name: 'js' }), ({ data, status }) => ({ data, status }))
await note('insert_many', api.from('labels').insert([{ id: 301, name: 'one' }, { id: 302, name: 'two', founded: '2002-02-02' }]).select())
await note('defaults', api.from('albums').insert([{ title: 'd', artist_id: 4 }, { title: 'e', artist_id: 4, price: 1 }], { defaultToNull: false }).select('title,price').order('title'))
await note('upsert', api.from('labels').upsert({ id: 300, name: 'merged' }).select('name').single())
await note('ignore', api.from('labels').upsert({ id: 303, name: 'merged' }, { onConflict: 'name', ignoreDuplicates: true }).select())
await note('update', api.from('labels').update({ founded: '2003-03-03' }).eq('id', 301).select('founded'))
await note('too_many', api.from('labels').delete().gte('id', 300).maxAffected(1))
await note('delete', api.from('labels').delete({ count: 'exact' }).gte('id', 300), ({ count, status }) => ({ count, status }))
await note('delete_albums', api.from('albums').delete().eq('artist_id', 4), ({ status }) => status)
await note('delete_all', api.from('labels').delete())

await note('rpc', api.rpc('add', { a: 2, b: 3 }))
await note('rpc_get', api.rpc('sum_list', { numbers: [1, 2, 3] }, { get: true }))
await note('rpc_rows', api.rpc('albums_of', { artist: 1 }).select('id').order('id', { ascending: false }).limit(1))
await note('rpc_head', api.rpc('words', { n: 7 }, { head: true, count: 'exact' }), ({ count, data }) => ({ count, data }))
await note('rpc_void', api.rpc('touch', { label: 3 }), ({ data, status }) => ({ data, status }))
await note('rpc_missing', api.rpc('ad', { a: 1 }))
await note('rpc_raised', api.rpc('refuse', { kind: 'plain' }))

await note('own', user.from('diaries').select('entry'))
await note('stranger', stranger.from('diaries').select('entry'))
await note('schema', api.schema('hidden').from('things').select())

process.stdout.write(JSON.stringify(seen))
