/** Every page in both themes, on desktop and phone: axe finds nothing, nothing is wider than the screen. And the build. */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { assertAccessible, picture, useBrowser } from '../browser.ts'
import { giveRecording, makePerson, operator, signIn, worker } from '../people.ts'
import { chord, clicks, melody, writeSound } from '../sounds.ts'

/** supabase-js is not among it: it comes when the page can be read already. */
const MAX_INITIAL_SCRIPT_BYTES = 200_000
const SCREENS = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } }
const LONG = 'Ein sehr langer Titel, der nicht in eine Zeile passt: Aufnahme vom Dachboden, Regen auf Blech, dritter Versuch'
const ARABIC = 'صوت المطر على السطح في ليلة طويلة'

let paths: Record<string, string> = {}
const session = useBrowser(async ({ page, folder }) => {
  const person = await makePerson('Every Page', 'admin')
  const tune = await giveRecording(person, await writeSound(folder, 'Tune at dusk.wav', 24, melody(3)), { isPublic: true })
  await giveRecording(person, await writeSound(folder, LONG.slice(0, 40) + '.wav', 9, clicks(96)), { title: LONG, isPublic: true })
  await giveRecording(person, await writeSound(folder, 'Rain.wav', 12, chord(180)), { title: ARABIC, isPublic: true })
  const { data: list } = await operator
    .from('playlists').insert({ user_id: person.id, title: 'Night', description: 'For late hours.', is_public: true }).select('id').single()
  await operator.from('playlist_items').insert({ playlist_id: list!.id, audio_id: tune })
  await operator.from('likes').insert({ user_id: person.id, audio_id: tune })
  const listener = await makePerson('Listener')
  await operator.from('listening_events').insert({ user_id: listener.id, audio_id: tune, listened_s: 24, context: 'search' })
  await worker.rpc('roll_up_stats')
  await signIn(page, person)
  paths = {
    home: '/', library: '/library', search: '/search', identify: '/identify', live: '/live', 'for-you': '/for-you', playlists: '/playlists',
    playlist: `/playlists/${list!.id}`, likes: '/likes', history: '/history', stats: '/stats', duplicates: '/duplicates', account: '/account', keys: '/account/keys',
    notifications: '/account/notifications',
    desk: '/desk', operator: '/operator', recording: `/recordings/${tune}`, user: `/users/${person.id}`,
    embed: `/embed/${tune}`, missing: '/nowhere', 'sign-in': '/sign-in', 'sign-up': '/sign-up', reset: '/reset',
  }
})

test('every page: axe finds nothing, and nothing is wider than the screen', async () => {
  const { page } = session
  for (const [name, path] of Object.entries(paths)) {
    await page.goto(path)
    await page.getByRole('heading', { level: 1 }).waitFor()
    await page.waitForLoadState('networkidle')
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      for (const [screen, viewport] of Object.entries(SCREENS)) {
        await page.setViewportSize(viewport)
        await picture(page, `${name}-${screen}-${colorScheme}`)
        const extra = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
        assert.equal(extra, 0, `${path} is wider than the ${screen}`)
        // Both themes and both screens, in two runs: each takes a second.
        if ((screen === 'desktop') === (colorScheme === 'light')) await assertAccessible(page, `${path} ${colorScheme}, ${screen}`)
      }
    }
  }
})

test('the library needs at most 200 kB of script to begin with', async (t) => {
  if (process.env.SOUNDSCAPE_BUILD_FOLDER === undefined) return t.skip('there is no build')
  const { context } = session
  const html = await (await context.request.get('/library')).text()
  const scripts = new Set([...html.matchAll(/<script(?![^>]*noModule)[^>]+src="([^"]+)"/gi)].map(([, src]) => src!))
  assert.ok(scripts.size > 0)
  let bytes = 0
  for (const src of scripts) bytes += gzipSync(await (await context.request.get(src)).body()).length
  t.diagnostic(`${bytes} bytes in ${scripts.size} scripts`)
  assert.ok(bytes <= MAX_INITIAL_SCRIPT_BYTES, `${bytes} bytes`)
})

test('the build holds no secret', async (t) => {
  const folder = process.env.SOUNDSCAPE_BUILD_FOLDER
  if (folder === undefined) return t.skip('there is no build')
  // supabase-js itself names the beginning of a secret key, so a whole one is looked for. Old keys are signed tokens.
  const isSecret = (word: string) =>
    /^sb_secret_.{16,}/.test(word) || /"role":"service_role"/.test(Buffer.from(word.split('.')[1] ?? '', 'base64url').toString())
  let read = 0
  for (const file of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!file.isFile() || !/\.(js|mjs|json|html|css|rsc|txt|map)$/.test(file.name)) continue
    const text = await readFile(join(file.parentPath, file.name), 'utf8')
    read++
    assert.ok(!text.includes(process.env.SUPABASE_SECRET_KEY!), `${file.name} holds the secret key`)
    const words = text.match(/sb_secret_[\w-]+|eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/g) ?? []
    assert.deepEqual(words.filter(isSecret), [], file.name)
  }
  assert.ok(read > 50)
})
