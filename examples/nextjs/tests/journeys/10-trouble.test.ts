/** Journey 10: the stack restarts in the middle, the network is gone for ten seconds, the session is revoked. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { holdUploads, picture, useBrowser, visitor } from '../browser.ts'
import { control, giveRecording, makePerson, signIn, type Person } from '../people.ts'
import { chord, clicks, writeLargeSound, writeSound } from '../sounds.ts'

let person: Person
let id = ''
const session = useBrowser(async ({ page, folder }) => {
  person = await makePerson('Patient')
  id = await giveRecording(person, await writeSound(folder, 'Before.wav', 4, chord(300)))
  await signIn(page, person)
  await page.getByRole('link', { name: 'Before' }).waitFor()
})

/** Waits for an upload that lost its connection. If it gave up before the connection was back, it says how to go on. */
async function uploadedAfterAll(name: string): Promise<void> {
  const { page } = session
  const uploaded = page.getByText('1 of 1 uploaded')
  const again = page.getByRole('button', { name: `Resume ${name}` })
  await uploaded.or(again).first().waitFor()
  if (await again.isVisible()) await again.click()
  await uploaded.waitFor()
  await page.getByRole('button', { name: 'Clear finished' }).click()
}

test('ten seconds offline: an upload waits and goes on, and the page catches up', async () => {
  const { page, context, folder } = session
  const release = await holdUploads(page, 1)
  await page.getByLabel('Files to upload').setInputFiles(await writeLargeSound(folder, 'Over the gap.wav', 40))
  await page.getByRole('button', { name: 'Pause Over the gap.wav' }).waitFor()
  await context.setOffline(true)
  await release()
  await new Promise((resolve) => setTimeout(resolve, 10_000))
  await giveRecording(person, await writeSound(folder, 'Meanwhile.wav', 4, clicks(100)))
  await context.setOffline(false)
  await uploadedAfterAll('Over the gap.wav')
  const list = page.getByRole('list', { name: 'Recordings' })
  await list.getByRole('link', { name: 'Meanwhile' }).waitFor()
  await list.getByRole('link', { name: 'Over the gap' }).waitFor()
})

test('the project restarts in the middle of an upload: the page says so, then works again, live', async () => {
  const { page, folder } = session
  const release = await holdUploads(page, 1)
  await page.getByLabel('Files to upload').setInputFiles(await writeLargeSound(folder, 'Over the restart.wav', 40))
  await page.getByRole('button', { name: 'Pause Over the restart.wav' }).waitFor()
  await control('stop')
  await release()
  await page.getByLabel('Sort by').selectOption('title')
  await page.getByRole('alert').filter({ hasText: 'could not be read' }).waitFor()
  await picture(page, 'library-error')
  // A page that is opened now says so too, in words.
  const other = await session.context.newPage()
  await other.goto(`/recordings/${id}`)
  await other.getByText('This page could not be loaded').waitFor()
  await picture(other, 'page-error')
  await control('start')
  await other.getByRole('button', { name: 'Try again' }).click()
  await other.getByRole('heading', { name: 'Before' }).waitFor()
  await other.getByRole('button', { name: 'Play', exact: true }).click()
  await other.getByText(/^0:0[1-4] \/ 0:04$/).waitFor()
  await other.close()
  await uploadedAfterAll('Over the restart.wav')
  const list = page.getByRole('list', { name: 'Recordings' })
  // The page tries again by itself too, once it is live again. Whichever comes first.
  const again = page.getByRole('button', { name: 'Try again' })
  await again.evaluateAll((buttons) => buttons.forEach((button) => (button as HTMLButtonElement).click()))
  await list.getByRole('link', { name: 'Before' }).waitFor()
  await list.getByRole('link', { name: 'Over the restart' }).waitFor()
  // The topic is joined again by itself.
  await giveRecording(person, await writeSound(folder, 'Afterwards.wav', 4, clicks(130)))
  await list.getByRole('link', { name: 'Afterwards' }).waitFor()
})

test('a revoked session ends at sign-in, and nothing is left of it', async () => {
  const { page, context, browser, complaints } = session
  const { context: elsewhere, page: other } = await visitor(browser, complaints)
  await signIn(other, person)
  await other.goto('/account')
  await other.getByRole('button', { name: 'Sign out everywhere' }).click()
  await other.getByRole('link', { name: 'Sign in' }).first().waitFor()
  await elsewhere.close()
  // Tokens live an hour. What counts is that this one is the last.
  const kept = (await context.cookies()).filter(({ name }) => /^sb-.*-auth-token(\.\d+)?$/.test(name))
  const encoded = kept.sort((a, b) => a.name.localeCompare(b.name)).map(({ value }) => value).join('')
  const value = JSON.parse(Buffer.from(encoded.replace(/^base64-/, ''), 'base64url').toString()) as { expires_at: number }
  value.expires_at = 1
  const changed = `base64-${Buffer.from(JSON.stringify(value)).toString('base64url')}`
  const size = Math.ceil(changed.length / kept.length)
  await context.addCookies(kept.map((cookie, i) => ({ ...cookie, value: changed.slice(i * size, (i + 1) * size) })))
  await page.goto('/library')
  await page.waitForURL('**/sign-in?next=%2Flibrary')
  assert.equal(await page.getByRole('link', { name: 'Before' }).count(), 0)
})
