/** What people do with the application, in a real browser against a real project. */
import { AxeBuilder } from '@axe-core/playwright'
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { freshEmail, launch, PASSWORD, picture, signUp, visitor } from './browser.ts'
import { makeSounds } from './sounds.ts'

let browser: Browser
let context: BrowserContext
let page: Page
let sounds: Awaited<ReturnType<typeof makeSounds>>
const complaints: string[] = []
const email = freshEmail()

before(async () => {
  browser = await launch()
  sounds = await makeSounds()
  ;({ context, page } = await visitor(browser, complaints))
})
after(async () => {
  await browser.close()
})

test('a visitor signs up, signs out and signs in again; the session survives a reload', async () => {
  await signUp(page, email)
  await page.getByText('No recordings yet').waitFor()
  await picture(page, 'library-empty')
  await page.reload()
  await page.getByText(email).waitFor()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('link', { name: 'Sign in' }).first().waitFor()
  await page.goto('/library')
  await page.waitForURL('**/sign-in?next=%2Flibrary')
  await page.getByLabel('E-mail').fill(email)
  await page.getByLabel('Password').fill('not this one')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('Invalid login credentials').waitFor()
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL('**/library')
})

test('three files go up together, and what is no sound says so in the server’s words', async () => {
  await page.getByLabel('Files to upload').setInputFiles([sounds.chord, sounds.clicks, sounds.text])
  const list = page.getByRole('list', { name: 'Recordings' })
  const chord = list.getByRole('listitem').filter({ hasText: 'Chord in A' })
  await chord.getByRole('img').waitFor()
  await chord.getByText('0:08').waitFor()
  const clicks = list.getByRole('listitem').filter({ hasText: 'Clicks at 120' })
  await clicks.getByText('120 BPM').waitFor()
  const notes = list.getByRole('listitem').filter({ hasText: 'notes' })
  await notes.locator('.bad').waitFor()
  assert.notEqual((await notes.locator('.bad').innerText()).trim(), '')
  await picture(page, 'library')
})

test('a recording plays, and what is not known is a dash', async () => {
  await page.getByRole('link', { name: 'Chord in A' }).click()
  await page.getByRole('heading', { name: 'Chord in A' }).waitFor()
  await page.getByRole('button', { name: 'Play', exact: true }).click()
  await page.getByRole('button', { name: 'Pause' }).waitFor()
  await page.getByText(/^0:0[1-9] \/ 0:08$/).waitFor()
  await page.getByRole('button', { name: 'Pause' }).click()
  const tempo = page.locator('.figures > div').filter({ hasText: 'Tempo' })
  assert.match(await tempo.innerText(), /–/)
  await page.getByAltText('Spectrogram of Chord in A').first().waitFor()
  await picture(page, 'recording')
})

test('a private recording is nobody else’s; a published one is everybody’s', async () => {
  const address = page.url()
  const { context: other, page: stranger } = await visitor(browser, complaints)
  await stranger.goto(address)
  await stranger.getByRole('heading', { name: 'Not found' }).waitFor()
  await page.getByRole('button', { name: 'Publish' }).click()
  await page.getByText('It is public now.').waitFor()
  await stranger.reload()
  await stranger.getByRole('heading', { name: 'Chord in A' }).waitFor()
  assert.equal(await stranger.title(), 'Chord in A · SoundScape')
  await stranger.goto(address.replace('/recordings/', '/embed/'))
  await stranger.getByRole('button', { name: 'Play' }).waitFor()
  await other.close()
})

test('words find a recording, a mistyped one too', async () => {
  await page.goto('/search')
  await page.getByLabel('Words').fill('chord')
  const found = page.getByRole('list', { name: 'Found' })
  await found.getByRole('link', { name: 'Chord in A' }).first().waitFor()
  await page.getByLabel('Words').fill('chordd')
  await found.getByRole('link', { name: 'Chord in A' }).first().waitFor()
  await picture(page, 'search')
})

test('a playlist keeps its order, moved by its buttons', async () => {
  await page.goto('/playlists')
  await page.getByPlaceholder('Night').fill('Evening')
  await page.getByRole('button', { name: 'Make a playlist' }).click()
  await page.getByRole('link', { name: 'Evening' }).waitFor()
  for (const title of ['Chord in A', 'Clicks at 120']) {
    await page.goto('/library')
    await page.getByRole('link', { name: title }).click()
    await page.getByLabel('Add to a playlist').selectOption({ label: 'Evening' })
    await page.getByText('Added to the playlist.').waitFor()
  }
  await page.goto('/playlists')
  await page.getByRole('link', { name: 'Evening' }).click()
  await page.getByRole('button', { name: 'Move Clicks at 120 up' }).click()
  await page.locator('ol > li').first().filter({ hasText: 'Clicks at 120' }).waitFor()
  await page.reload()
  await page.locator('ol > li').first().filter({ hasText: 'Clicks at 120' }).waitFor()
  await picture(page, 'playlist')
})

test('a recording that is deleted in one tab leaves the other', async () => {
  const other = await context.newPage()
  await other.goto('/library')
  await other.getByRole('link', { name: 'notes' }).waitFor()
  await page.goto('/library')
  await page.getByRole('link', { name: 'notes' }).click()
  page.once('dialog', (dialog) => void dialog.accept())
  await page.getByRole('button', { name: 'Delete' }).click()
  await page.waitForURL('**/library')
  await page.getByRole('link', { name: 'notes' }).waitFor({ state: 'detached' })
  // Nobody tells of deletions yet: the other tab hears of them when it comes back to the front.
  await other.reload()
  await other.getByRole('link', { name: 'Chord in A' }).waitFor()
  assert.equal(await other.getByRole('link', { name: 'notes' }).count(), 0)
  await other.close()
})

test('no page has a fault that axe finds, in light and in dark', async () => {
  await page.goto('/library')
  const recording = await page.getByRole('link', { name: 'Chord in A' }).getAttribute('href')
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    for (const path of ['/', '/library', '/search', '/for-you', '/playlists', '/account', '/sign-in', '/sign-up', recording!]) {
      await page.goto(path)
      await page.getByRole('heading', { level: 1 }).waitFor()
      const { violations } = await new AxeBuilder({ page }).analyze()
      assert.deepEqual(violations.map(({ id, nodes }) => `${path} ${colorScheme}: ${id} ${nodes[0]?.html}`), [])
    }
  }
  await page.goto(recording!)
  await page.getByAltText('Spectrogram of Chord in A').last().waitFor()
  await picture(page, 'recording-dark')
})

test('no page broke the content policy, threw, or asked another host', () => {
  assert.deepEqual(complaints, [])
})
