// Drives supabase-js' Data API client on the project's own tables and prints one JSON object of what it saw.
// argv: the folder whose node_modules hold supabase-js; stdin: {url, key, token, user, playlist, rain}.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const { createClient } = createRequire(process.argv[2] + '/')('@supabase/supabase-js')
const given = JSON.parse(readFileSync(0, 'utf8'))
const mine = createClient(given.url, given.key, { accessToken: async () => given.token })
const stranger = createClient(given.url, given.key, { auth: { persistSession: false } })
const seen = {}

const rows = async (query) => {
  const { data, error } = await query
  if (error) throw new Error(JSON.stringify(error))
  return data
}
const code = async (query) => (await query).error?.code ?? 'no error'
const recordings = (columns, options, client = mine) =>
  client.from('audio_files').select(columns, options).eq('user_id', given.user)
const titles = async (query) => (await rows(query)).map((row) => row.title)

seen.select = await rows(recordings('called:title, seconds:duration::text, tags->0').eq('license', 'CC0-1.0'))
seen.paths = (await rows(mine.from('user_preferences').select('skin:settings->player->>skin').single())).skin

const FILTERS = [
  (q) => q.eq('license', 'CC0-1.0'),
  (q) => q.neq('title', 'Rain song'),
  (q) => q.gt('duration', 12).lte('duration', 61.5),
  (q) => q.gte('duration', 12).lt('duration', 61),
  (q) => q.in('title', ['Wind, 100% of it', 'Rain song', 'a "b"']),
  (q) => q.is('duration', null),
  (q) => q.not('duration', 'is', null),
  (q) => q.like('title', 'Rain%').ilike('title', '%SONG'),
  (q) => q.likeAnyOf('title', ['%Bergen', 'Wind%']),
  (q) => q.ilikeAllOf('title', ['rain%', '%song']),
  (q) => q.regexMatch('title', '^R.*g$'),
  (q) => q.regexIMatch('title', '^wind'),
  (q) => q.isDistinct('license', 'CC0-1.0'),
  (q) => q.contains('tags', '{"a, b"}'),
  (q) => q.containedBy('tags', ['rain', 'field']),
  (q) => q.overlaps('tags', ['field', 'x']),
  (q) => q.textSearch('title', 'rain & song', { config: 'english' }),
  (q) => q.or('license.eq.CC0-1.0,and(duration.lt.20,is_public.is.false)'),
  (q) => q.not('title', 'like', 'Wind*').is('license', null),
]
seen.filters = []
for (const narrow of FILTERS) seen.filters.push(await titles(narrow(recordings('title').order('title'))))

seen.embed = await rows(mine.from('playlists').select('title, playlist_items(position, audio_files(title))')
  .order('position', { referencedTable: 'playlist_items', ascending: false })
  .limit(1, { referencedTable: 'playlist_items' }).eq('id', given.playlist).single())
seen.spread = await rows(mine.from('playlist_items').select('position, ...audio_files!inner(title)')
  .eq('audio_files.license', 'CC0-1.0'))
seen.related_order = (await rows(mine.from('playlist_items')
  .select('by:audio_files!playlist_items_audio_id_fkey(title)').order('by(title)'))).map((row) => row.by.title)
seen.without = await rows(recordings('title, playlist_items()').is('playlist_items', null))

const window = await recordings('title', { count: 'exact' }).order('title').range(1, 5)
seen.window = { titles: window.data.map((row) => row.title), count: window.count, status: window.status }
seen.head = (await recordings('id', { count: 'exact', head: true })).count
seen.counts = [await code(recordings('id', { count: 'planned' })),
  await code(recordings('id', { count: 'estimated' }))]
seen.too_far = await code(recordings('id', { count: 'exact' }).range(9, 10))

const playlists = () => mine.from('playlists')
const uneven = [{ title: 'one' }, { title: 'two', is_public: true }]
seen.defaults = (await rows(playlists().insert(uneven, { defaultToNull: false }).select('title, is_public')))
  .map((row) => [row.title, row.is_public]).sort()
seen.uneven = await code(playlists().insert(uneven))
seen.too_many = await code(playlists().delete().in('title', ['one', 'two']).maxAffected(1))
seen.deleted = (await playlists().delete({ count: 'exact' }).in('title', ['one', 'two'])).count
const like = () => mine.from('likes')
  .upsert({ audio_id: given.rain }, { onConflict: 'user_id,audio_id', ignoreDuplicates: true }).select()
seen.liked = [(await rows(like())).length, (await rows(like())).length]
seen.doubled = await code(mine.from('likes').insert({ audio_id: given.rain }))
seen.unknown_column = await code(playlists().insert({ titel: 'x' }))

const search = (options) => mine.rpc('search_audio', { query: 'bergen' }, options)
  .select('title:recording->>title').eq('id', given.rain).limit(1)
seen.rpc = [await rows(search()), await rows(search({ get: true }))]
seen.rpc_too_many = await code(search().maxAffected(0))
seen.rpc_unknown = await code(mine.rpc('search_audo', { query: 'x' }))

seen.single = await rows(recordings('title').eq('license', 'CC0-1.0').single())
seen.not_single = await code(recordings('title').single())
seen.maybe = await rows(recordings('title').eq('title', 'x').maybeSingle())
seen.csv = await rows(recordings('title, tags').eq('title', 'Rain song').csv())
seen.stripped = await rows(recordings('title, license').eq('title', 'Rain song').stripNulls())

seen.stranger = await titles(recordings('title', {}, stranger))
seen.stranger_likes = await code(stranger.from('likes').select('*'))

seen.aggregate = await code(mine.from('audio_files').select('duration.sum()'))
seen.unrelated = await code(mine.from('audio_files').select('id, user_preferences(theme)'))
seen.hidden_schema = await code(mine.schema('soundscape').from('jobs').select('*'))
seen.whole_table = await code(mine.from('likes').delete())

process.stdout.write(JSON.stringify(seen))
process.exit(0)
