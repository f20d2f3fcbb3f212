/** Take the pictures of docs/pictures. Run by scripts/test-web --pictures, which says where they go. */
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import type { BrowserContextOptions } from 'playwright-core'
import { holdUploads, launch, picture, visitor } from './browser.ts'
import { control, eventually, giveRecording, makePerson, operator, signIn, worker, type Person } from './people.ts'
import { chord, clicks, makeFolder, melody, writeLargeSound, writeLongSound, writeSound } from './sounds.ts'

const DESKTOP = { viewport: { width: 1280, height: 800 } }
const TALL = { viewport: { width: 1280, height: 1180 } }
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }
const TITLES = {
  long: 'Ein sehr langer Titel, der nicht in eine Zeile passt: Regen auf dem Blechdach, dritter Versuch',
  arabic: 'صوت المطر على السطح في ليلة طويلة — 長い夜の雨',
}

const complaints: string[] = []
const folder = await makeFolder()
const sound = (name: string, seconds: number, signal: (t: number) => number) => writeSound(folder, `${name}.wav`, seconds, signal)

/** Louder and softer, as music is. */
const swelling = (signal: (t: number) => number, seconds: number) => (t: number) =>
  signal(t) * (0.15 + 0.85 * Math.sin((Math.PI * t) / seconds) ** 2 * (0.6 + 0.4 * Math.sin(1.3 * t)))
/** Rain: noise in gusts, the same in each run. */
const rain = (t: number) => {
  const noise = Math.sin(t * 12_345.678) * 43_758.5453
  return 0.5 * (noise - Math.floor(noise) - 0.5) * (0.5 + 0.25 * Math.sin(0.9 * t) + 0.15 * Math.sin(2.7 * t))
}

const ada = await makePerson('Ada Lindqvist')
const ben = await makePerson('Ben Okafor')
const dusk = swelling(melody(3), 40)
const duskPath = await sound('Tune at dusk', 40, dusk)
const tune = await giveRecording(ada, duskPath, { isPublic: true })
await giveRecording(ada, await sound('Tune at dusk, the middle', 16, (t) => dusk(t + 12)))
const arabic = await giveRecording(ada, await sound('Rain', 20, rain), { title: TITLES.arabic, isPublic: true })
await giveRecording(ada, await sound('Long', 15, (t) => rain(t + 50)), { title: TITLES.long, isPublic: true })
await giveRecording(ada, await sound('Metronome', 30, clicks(96)))
await giveRecording(ben, await sound('Harmonium', 12, swelling(chord(196), 12)), { isPublic: true })
const borrowed = await giveRecording(ben, await sound('Morning tune', 24, swelling(melody(9), 24)), { isPublic: true })
const hour = await giveRecording(ada, await writeLongSound(folder, 'A night in the yard.wav', 1))
await operator.from('audio_files').update({
  description: 'سُجِّل من نافذة المطبخ.', license: 'CC-BY-4.0', latitude: 30.0444, longitude: 31.2357, location_precision_m: 10_000,
}).eq('id', arabic)
const { data: list } = await operator.from('playlists').insert({ user_id: ada.id, title: 'Evening' }).select('id').single()
await operator.from('playlist_items').insert({ playlist_id: list!.id, audio_id: tune })
await operator.from('likes').insert([{ user_id: ada.id, audio_id: tune }, { user_id: ben.id, audio_id: tune }])
await operator.from('listening_events').insert({ user_id: ben.id, audio_id: tune, listened_s: 40, context: 'search' })
await worker.rpc('roll_up_stats')
await eventually(async () => {
  const { data } = await operator.from('audio_matches').select('id').eq('audio_id', tune).limit(1)
  const { data: matched } = await operator.from('audio_matches').select('id').eq('matched_audio_id', tune).limit(1)
  return data?.length || matched?.length || undefined
})

const browser = await launch({ microphone: duskPath })
async function open(path: string, person: Person | null, options: BrowserContextOptions) {
  const { context, page } = await visitor(browser, complaints, options)
  if (person) await signIn(page, person)
  await page.goto(path)
  await page.waitForLoadState('networkidle')
  return { context, page }
}
async function take(name: string, path: string, person: Person | null, options: BrowserContextOptions): Promise<void> {
  const { context, page } = await open(path, person, options)
  if (path.startsWith('/recordings/')) await page.getByTestId('waveform').waitFor()
  await picture(page, name, false)
  await context.close()
}

await take('recording', `/recordings/${tune}`, ada, TALL)
await take('recording-phone-dark', `/recordings/${tune}`, ada, { ...PHONE, colorScheme: 'dark' })
await take('recording-right-to-left', `/recordings/${arabic}`, null, TALL)
await take('home-dark', '/', null, { ...DESKTOP, colorScheme: 'dark' })
await take('search-dark', '/search?q=tune', ada, { ...DESKTOP, colorScheme: 'dark' })
await take('duplicates', '/duplicates', ada, DESKTOP)
await take('library-phone', '/library', ada, PHONE)

{
  const { context, page } = await open(`/recordings/${hour}`, ada, DESKTOP)
  const slider = page.getByRole('slider', { name: 'Position' })
  await page.getByTestId('waveform').waitFor()
  await slider.focus()
  for (let i = 0; i < 6; i++) await page.keyboard.press('+')
  await page.waitForFunction(() => [...document.querySelectorAll('.strip img')].some((tile) => tile.clientWidth > 0))
  await page.waitForLoadState('networkidle')
  await slider.blur()
  await picture(page, 'recording-zoomed', false)
  await context.close()
}
{
  const { context, page } = await open('/identify', ada, DESKTOP)
  await context.grantPermissions(['microphone'])
  await page.getByRole('button', { name: 'Listen' }).click()
  await page.getByRole('list', { name: 'Identified' }).getByRole('link', { name: 'Tune at dusk', exact: true }).waitFor()
  await picture(page, 'identify', false)
  await context.close()
}
{
  const { error } = await operator.from('reports').insert({
    audio_id: borrowed, reporter_id: ada.id, reason: 'copyright', details: 'This is a recording of my concert in May.',
  })
  if (error) throw error
  await take('desk', '/desk', await makePerson('Mira', 'moderator'), DESKTOP)
}
{
  const { context, page } = await open('/library', ada, DESKTOP)
  const files = page.getByLabel('Files to upload')
  await files.setInputFiles([await sound('Church bells', 14, swelling(chord(131), 14)), await sound('Stairwell', 9, clicks(70))])
  await page.getByText('2 of 2 uploaded').waitFor()
  const rows = page.getByRole('list', { name: 'Recordings' })
  for (const title of ['Church bells', 'Stairwell']) await rows.getByRole('img', { name: `Waveform of ${title}` }).waitFor()
  const release = await holdUploads(page, 1)
  await files.setInputFiles(await writeLargeSound(folder, 'Field day, morning.wav', 20))
  await page.getByText('13 MB of 20 MB').waitFor()
  await picture(page, 'library', false)
  await page.getByRole('button', { name: 'Cancel Field day, morning.wav' }).click()
  await release()
  await page.getByRole('button', { name: 'Clear finished' }).click()
  await control('stop')
  await page.getByLabel('Sort by').selectOption('title')
  await page.getByRole('alert').filter({ hasText: 'could not be read' }).waitFor()
  await picture(page, 'library-error', false)
  await context.close()
  await control('start')
}

await browser.close()
await rm(folder, { recursive: true })
assert.deepEqual(complaints, [])
