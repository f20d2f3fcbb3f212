/** Journeys 2 to 6 by keyboard alone: everything is reached by Tab, and nothing is clicked. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { holdUploads, reach, useBrowser } from '../browser.ts'
import { eventually, giveRecording, makePerson, operator, signIn, type Person } from '../people.ts'
import { chord, clicks, melody, writeLargeSound, writeSound } from '../sounds.ts'

const tune = melody(9)
let person: Person
const session = useBrowser(
  async ({ page, folder }) => {
    person = await makePerson('Typist')
    await giveRecording(person, await writeSound(folder, 'Typed tune.wav', 40, tune), { isPublic: true })
    await giveRecording(person, await writeSound(folder, 'Typed chord.wav', 30, chord(210)), { isPublic: true })
    // Its seconds from 12 to 32.
    await giveRecording(person, await writeSound(folder, 'Typed part.wav', 20, (t) => tune(t + 12)))
    await signIn(page, person)
  },
  async (folder) => ({ microphone: await writeSound(folder, 'microphone.wav', 20, (t) => 0.8 * tune(t + 10)) }),
)

/** Reach it by Tab, and press a key on it. */
async function press(target: Parameters<typeof reach>[1], key = 'Enter'): Promise<void> {
  await reach(session.page, target)
  await session.page.keyboard.press(key)
}

/** Reach the library's list by Tab, and this recording by the arrow key. */
async function walkTo(title: string): Promise<void> {
  const { page } = session
  const rows = page.getByRole('list', { name: 'Recordings' })
  await rows.getByRole('link', { name: title, exact: true }).waitFor()
  await reach(page, rows.locator('a[tabindex="0"]'))
  await page.keyboard.press('Home')
  for (let row = 0; row < 10; row++) {
    const index = String(row)
    await page.waitForFunction((index) => (document.activeElement as HTMLElement).dataset.index === index, index)
    if ((await page.evaluate(() => document.activeElement?.textContent)) === title) return
    await page.keyboard.press('ArrowDown')
  }
  throw new Error(`The arrow key does not come to ${title}`)
}

/** Reach a field by Tab, and type into it in place of what is there. */
async function type(target: Parameters<typeof reach>[1], text: string): Promise<void> {
  await reach(session.page, target)
  await session.page.keyboard.press('Control+a')
  await session.page.keyboard.type(text)
}

test('2: files are chosen, paused, resumed, cancelled', async () => {
  const { page, folder } = session
  const choose = async (path: string) => {
    const chooser = page.waitForEvent('filechooser')
    await press(page.getByRole('button', { name: 'Choose files' }))
    await (await chooser).setFiles(path)
  }
  const release = await holdUploads(page)
  await choose(await writeLargeSound(folder, 'Typed upload.wav', 20))
  await press(page.getByRole('button', { name: 'Pause Typed upload.wav' }))
  await press(page.getByRole('button', { name: 'Resume Typed upload.wav' }))
  await page.getByRole('button', { name: 'Pause Typed upload.wav' }).waitFor()
  await choose(await writeLargeSound(folder, 'Typed regret.wav', 20))
  await press(page.getByRole('button', { name: 'Cancel Typed regret.wav' }))
  await release()
  await page.getByText('1 of 1 uploaded').waitFor()
  await press(page.getByRole('button', { name: 'Clear finished' }))
  await page.getByRole('list', { name: 'Recordings' }).getByRole('link', { name: 'Typed upload' }).waitFor()
})

test('3: the library is sorted, walked through, played from and opened', async () => {
  const { page } = session
  const rows = page.getByRole('list', { name: 'Recordings' })
  await reach(page, page.getByLabel('Sort by'))
  // One letter: a browser forgets the ones before after a second.
  await page.keyboard.press('T')
  await rows.getByRole('listitem').first().getByRole('link', { name: 'Typed chord' }).waitFor()
  await reach(page, rows.getByRole('link', { name: 'Typed chord' }))
  await page.keyboard.press('End')
  await page.waitForFunction(() => document.activeElement?.textContent === 'Typed upload')
  await page.keyboard.press('Home')
  await page.waitForFunction(() => document.activeElement?.textContent === 'Typed chord')
  await page.keyboard.press('Shift+Tab')
  await page.keyboard.press('Enter')
  const bar = page.getByRole('region', { name: 'Now playing' })
  await bar.getByRole('link', { name: 'Typed chord' }).waitFor()
  await press(bar.getByRole('button', { name: 'Pause' }))
  await press(bar.getByRole('button', { name: 'Stop playing' }))
  await bar.waitFor({ state: 'detached' })
  await press(rows.getByRole('link', { name: 'Typed chord' }))
  await page.getByRole('heading', { name: 'Typed chord' }).waitFor()
})

test('4: a recording plays, seeks, zooms, and is edited, published, shared and deleted', async () => {
  const { page } = session
  const player = page.getByRole('region', { name: 'Player of Typed chord' })
  const slider = player.getByRole('slider', { name: 'Position' })
  await press(slider, 'Space')
  await player.getByRole('button', { name: 'Pause' }).waitFor()
  await press(slider, 'Space')
  await player.getByRole('button', { name: 'Play' }).waitFor()
  await press(slider, 'Home')
  await press(slider, 'ArrowRight')
  await player.getByText('0:05 / 0:30').waitFor()
  await press(player.getByRole('button', { name: 'Zoom in' }))
  await press(player.getByRole('button', { name: 'Whole' }))
  await press(page.getByRole('button', { name: 'Edit' }))
  await type(page.getByLabel('Title'), 'Typed and renamed')
  await press(page.getByRole('button', { name: 'Save' }))
  await page.getByRole('heading', { name: 'Typed and renamed' }).waitFor()
  await press(page.getByRole('button', { name: 'Make private' }))
  await page.getByText('It is private now.').waitFor()
  await press(page.getByRole('button', { name: 'Publish' }))
  await page.getByText('It is public now.').waitFor()
  page.once('dialog', (dialog) => void dialog.accept())
  await press(page.getByRole('button', { name: 'Delete' }))
  await page.waitForURL('**/library')
})

test('5: search and its filters, identification, recommendations, radio', async () => {
  const { page, context } = session
  await press(page.getByRole('link', { name: 'Search', exact: true }))
  await type(page.getByLabel('Words'), 'typed tune')
  await page.waitForFunction(() => location.search === '?q=typed%20tune')
  await type(page.getByLabel('Seconds from'), '30')
  await press(page.getByRole('list', { name: 'Found' }).getByRole('link', { name: 'Typed tune' }))
  await page.getByRole('heading', { name: 'Typed tune' }).waitFor()
  await press(page.getByRole('button', { name: 'Start radio' }))
  const bar = page.getByRole('region', { name: 'Now playing' })
  await press(bar.getByRole('button', { name: 'Stop playing' }))
  await context.grantPermissions(['microphone'])
  await press(page.getByRole('link', { name: 'Identify' }))
  await press(page.getByRole('button', { name: 'Listen' }))
  await press(page.getByRole('list', { name: 'Identified' }).getByRole('link', { name: /^Typed/ }))
  await page.getByRole('heading', { name: /^Typed/, level: 1 }).waitFor()
  await press(page.getByRole('link', { name: 'For you' }))
  const moods = page.getByRole('group', { name: 'Mood' }).getByRole('button')
  await press(moods.nth(1))
  await page.getByRole('list', { name: / mix$/ }).or(page.getByText('Nothing fits yet')).first().waitFor()
})

test('6: playlists, likes, history, duplicates, the bell', async () => {
  const { page } = session
  await press(page.getByRole('link', { name: 'Playlists' }))
  await type(page.getByLabel('Title of a new playlist'), 'Typed list')
  await page.keyboard.press('Enter')
  await page.getByRole('link', { name: 'Typed list' }).waitFor()
  for (const title of ['Typed tune', 'Typed part']) {
    await press(page.getByRole('link', { name: 'Library' }))
    await walkTo(title)
    await page.keyboard.press('Enter')
    await press(page.getByLabel('Add to a playlist'))
    await press(page.getByRole('button', { name: 'Typed list' }))
    await page.getByText('Added to the playlist.').waitFor()
  }
  await press(page.getByRole('button', { name: 'Like', exact: true }))
  await page.getByText('Liked.').waitFor()
  await press(page.getByRole('link', { name: 'Playlists' }))
  await press(page.getByRole('link', { name: 'Typed list' }))
  const rows = page.getByRole('list', { name: 'Recordings' }).getByRole('listitem')
  await rows.nth(1).getByRole('link', { name: 'Typed part' }).waitFor()
  await press(page.getByRole('button', { name: /^Move Typed part/ }), 'ArrowUp')
  await rows.nth(0).getByRole('link', { name: 'Typed part' }).waitFor()
  await press(page.getByRole('button', { name: 'Remove Typed part' }))
  await rows.nth(1).waitFor({ state: 'detached' })
  await press(page.getByLabel('Your account'))
  await press(page.getByRole('link', { name: 'Likes' }))
  await page.getByRole('list', { name: 'Liked recordings' }).getByRole('link', { name: 'Typed part' }).waitFor()
  await press(page.getByLabel('Your account'))
  await press(page.getByRole('link', { name: 'Listening history' }))
  await page.getByRole('heading', { name: 'Listening history' }).waitFor()
  await eventually(async () => {
    const { data: own } = await operator.from('audio_files').select('id').eq('user_id', person.id)
    const { data } = await operator.from('audio_matches').select('id').in('audio_id', own!.map(({ id }) => id))
    return data?.length || undefined
  })
  await press(page.getByLabel('Your account'))
  await press(page.getByRole('link', { name: 'Duplicates' }))
  // Whoever ran this before, in the same project, has the same tune.
  const claims = page.getByRole('button', { name: 'Dismiss' })
  await claims.first().waitFor()
  const count = await claims.count()
  await press(claims)
  await eventually(async () => (await claims.count()) === count - 1 || undefined)
  await press(page.getByLabel(/^Notifications/))
  await page.getByText('“Typed upload” is analysed.').waitFor()
  await page.keyboard.press('Escape')
  await page.getByText('“Typed upload” is analysed.').waitFor({ state: 'hidden' })
  assert.match(await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? ''), /^Notifications/)
})
