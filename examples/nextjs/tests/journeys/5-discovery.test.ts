/** Journey 5: search with facets and misspelling, identify by microphone, similar sounds, recommendations, moods, radio. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { assertAccessible, IN_FIREFOX, picture, useBrowser } from '../browser.ts'
import { eventually, giveRecording, makePerson, operator, signIn, type Person } from '../people.ts'
import { chord, clicks, melody, writeSound } from '../sounds.ts'

/** The journey may run twice against one project, in two browsers. */
const RUN = randomUUID().slice(0, 4)
const TITLES = {
  wandering: `Wandering tune ${RUN}`, another: `Another tune ${RUN}`, quick: `Quick clicks ${RUN}`, slow: `Slow clicks ${RUN}`,
}
const tune = melody(1)
let listener: Person
let melodyId = ''
const session = useBrowser(
  async ({ page, folder }) => {
    const artist = await makePerson('Artist')
    listener = await makePerson('Seeker')
    const give = async (name: string, seconds: number, signal: (t: number) => number) =>
      giveRecording(artist, await writeSound(folder, name, seconds, signal), { isPublic: true })
    melodyId = await give(`${TITLES.wandering}.wav`, 30, tune)
    await give(`${TITLES.another}.wav`, 30, melody(2))
    await give(`${TITLES.quick}.wav`, 12, clicks(140))
    await give(`${TITLES.slow}.wav`, 12, clicks(80))
    await give('Low chord.wav', 8, chord(110))
    await give('High chord.wav', 8, chord(440))
    await operator.from('audio_files').update({ license: 'CC0-1.0' }).eq('id', melodyId)
    await signIn(page, listener)
  },
  // The tune from its tenth second on, as a loudspeaker would play it.
  async (folder) => ({ microphone: await writeSound(folder, 'microphone.wav', 20, (t) => 0.8 * tune(t + 10)) }),
)

test('words find a recording, mistyped ones too; filters narrow it', async () => {
  const { page } = session
  await page.goto('/search')
  const words = page.getByLabel('Words')
  await words.fill('wandering')
  const found = page.getByRole('list', { name: 'Found' })
  await found.getByRole('link', { name: TITLES.wandering }).waitFor()
  await words.fill('wanderng')
  await found.getByRole('link', { name: TITLES.wandering }).waitFor()
  await page.waitForFunction(() => location.search === '?q=wanderng')
  await words.fill('clicks')
  await found.getByRole('link', { name: TITLES.quick }).waitFor()
  await found.getByRole('link', { name: TITLES.slow }).waitFor()
  await page.getByLabel('BPM from').fill('120')
  await found.getByRole('link', { name: TITLES.slow }).waitFor({ state: 'detached' })
  await found.getByRole('link', { name: TITLES.quick }).waitFor()
  await page.getByLabel('BPM from').fill('')
  await words.fill('')
  await page.getByLabel('Licence').selectOption('CC0-1.0')
  await found.getByRole('link', { name: TITLES.quick }).waitFor({ state: 'detached' })
  await found.getByRole('link', { name: TITLES.wandering }).waitFor()
  await page.getByLabel('Licence').selectOption('')
  await picture(page, 'search')
  await assertAccessible(page, 'search')
  await words.fill('nothing is called this qqqq')
  await page.getByText('Nothing fits').waitFor()
})

test('the microphone finds what a loudspeaker plays', { skip: IN_FIREFOX && 'Firefox’s fake microphone plays no file' }, async () => {
  const { page, context } = session
  await context.grantPermissions(['microphone'])
  await page.goto('/identify')
  await picture(page, 'identify')
  await page.getByRole('button', { name: 'Listen' }).press('Enter')
  await page.getByText(/^Listening, \d+ seconds more/).waitFor()
  await page.getByRole('list', { name: 'Identified' }).getByRole('link', { name: TITLES.wandering }).waitFor()
  await picture(page, 'identified')
  await assertAccessible(page, 'identify')
})

test('what sounds like it is listed, and the radio plays on', async () => {
  const { page } = session
  await page.goto(`/recordings/${melodyId}`)
  await page.getByRole('list', { name: 'Similar recordings' }).getByRole('link').first().waitFor()
  await page.getByRole('button', { name: 'Start radio' }).click()
  const bar = page.getByRole('region', { name: 'Now playing' })
  const first = await bar.getByRole('link').innerText()
  await bar.getByText(/^1 of ([2-9]|\d\d)$/).waitFor()
  await bar.getByRole('button', { name: 'Next' }).click()
  await bar.getByText(/^2 of ([2-9]|\d\d)$/).waitFor()
  assert.notEqual(await bar.getByRole('link').innerText(), first)
  // It goes on playing on another page, and with what comes next.
  const position = bar.getByRole('slider')
  await eventually(async () => Number(await position.inputValue()) >= 2 || undefined)
  await page.getByRole('link', { name: 'For you' }).click()
  await page.waitForURL('**/for-you')
  await bar.getByText(/^([2-9]|\d\d) of \d+$/).waitFor()
})

test('what is on is in the history at once, and stays there when the page is left', async () => {
  const { page } = session
  await page.goto(`/recordings/${melodyId}`)
  await page.getByRole('button', { name: 'Start radio' }).click()
  const bar = page.getByRole('region', { name: 'Now playing' })
  await eventually(async () => Number(await bar.getByRole('slider').inputValue()) >= 2 || undefined)
  await page.getByLabel('Your account').click()
  await page.getByRole('link', { name: 'Listening history' }).click()
  const heard = page.getByRole('list', { name: 'Heard' }).getByRole('listitem')
  await heard.filter({ hasText: /Now · 0:/ }).waitFor()
  const listens = () => operator.from('listening_events').select('context, listened_s').eq('user_id', listener.id)
  const { data: noted } = await listens()
  await page.goto('about:blank')
  const { context, listened_s } = await eventually(async () => {
    const { data } = await listens().order('created_at', { ascending: false })
    return data!.length > noted!.length ? data![0]! : undefined
  })
  assert.equal(context, 'radio')
  assert.ok(listened_s >= 1, `${listened_s} s`)
  await page.goto('/history')
  await heard.nth(noted!.length).waitFor()
  assert.equal(await heard.filter({ hasText: /Now · / }).count(), 0)
})

test('recommendations say why, and moods mix', async () => {
  const { page } = session
  await page.goto(`/recordings/${melodyId}`)
  await page.getByRole('button', { name: 'Like', exact: true }).click()
  await page.getByRole('button', { name: 'Liked' }).waitFor()
  await page.goto('/for-you')
  const list = page.getByRole('list', { name: 'Recommended' })
  await list.getByRole('listitem').first().waitFor()
  for (const note of await list.locator('.under').allInnerTexts()) assert.notEqual(note.trim(), '')
  await picture(page, 'for-you')
  await assertAccessible(page, 'for you')
  const moods = page.getByRole('group', { name: 'Mood' }).getByRole('button')
  assert.ok((await moods.count()) > 2)
  await moods.nth(1).click()
  await page.getByRole('list', { name: / mix$/ }).or(page.getByText('Nothing fits yet')).first().waitFor()
})
