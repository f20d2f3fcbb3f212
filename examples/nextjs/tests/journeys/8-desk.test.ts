/** Journey 8: somebody reports, a moderator hides with a reason, restores, dismisses; the operator's page. */
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { assertAccessible, picture, useBrowser, visitor } from '../browser.ts'
import { giveRecording, makePerson, signIn, type Person } from '../people.ts'
import { chord, writeSound } from '../sounds.ts'

let [owner, moderator, admin]: Person[] = []
let id = ''
let desk: Page
const session = useBrowser(async ({ page, folder, browser, complaints }) => {
  owner = await makePerson('Owner')
  moderator = await makePerson('Moderator', 'moderator')
  admin = await makePerson('Admin', 'admin')
  id = await giveRecording(owner, await writeSound(folder, 'Borrowed.wav', 4, chord(260)), { isPublic: true })
  await signIn(page, await makePerson('Reporter'))
  desk = (await visitor(browser, complaints)).page
  await signIn(desk, moderator)
})

async function report(page: Page, details: string): Promise<void> {
  await page.goto(`/recordings/${id}`)
  await page.getByRole('button', { name: 'Report' }).click()
  await page.getByLabel('Why', { exact: true }).selectOption('copyright')
  await page.getByLabel('What a moderator should know').fill(details)
  await page.getByRole('button', { name: 'Send the report' }).click()
  await page.getByText('A moderator will look at it.').waitFor()
}

test('a report reaches the desk; hiding it hides it from strangers, and tells the owner why', async () => {
  const { page, browser, complaints } = session
  await report(page, 'This is my chord.')
  await desk.getByLabel('Your account').click()
  await desk.getByRole('link', { name: 'Moderator’s desk' }).click()
  const card = desk.getByRole('article', { name: 'Report of Borrowed' })
  await card.getByText('This is my chord.').waitFor()
  await picture(desk, 'desk')
  await assertAccessible(desk, 'desk')
  await card.getByLabel('Why').fill('Not your music.')
  await card.getByRole('button', { name: 'Hide' }).click()
  await card.waitFor({ state: 'detached' })
  await page.reload()
  await page.getByRole('heading', { name: 'Not found' }).waitFor()
  const { context, page: ownersPage } = await visitor(browser, complaints)
  await signIn(ownersPage, owner!)
  await ownersPage.goto(`/recordings/${id}`)
  await ownersPage.getByText('A moderator has hidden this recording: Not your music.').waitFor()
  await context.close()
})

test('it is restored, and a second report dismissed', async () => {
  const { page } = session
  await desk.getByRole('button', { name: 'Done', exact: true }).click()
  await desk.getByRole('article', { name: 'Report of Borrowed' }).getByRole('button', { name: 'Restore' }).click()
  await desk.getByRole('button', { name: 'Restore' }).waitFor({ state: 'detached' })
  await page.reload()
  await page.getByRole('heading', { name: 'Borrowed' }).waitFor()
  await report(page, 'Still mine.')
  await desk.getByRole('button', { name: 'Open', exact: true }).click()
  const card = desk.getByRole('article', { name: 'Report of Borrowed' })
  await card.getByRole('button', { name: 'Take it' }).click()
  await card.waitFor({ state: 'detached' })
  await desk.getByRole('button', { name: 'Taken' }).click()
  await card.getByText('You have it').waitFor()
  await card.getByLabel('Why').fill('It is a common chord.')
  await card.getByRole('button', { name: 'Dismiss' }).click()
  await card.waitFor({ state: 'detached' })
})

test('the desk and the operator’s page are nobody else’s', async () => {
  const { page } = session
  for (const path of ['/desk', '/operator']) {
    await page.goto(path)
    await page.getByRole('heading', { name: 'Not found' }).waitFor()
  }
})

test('an admin sees the queue, dead letters and storage', async () => {
  const { browser, complaints } = session
  const { context, page } = await visitor(browser, complaints)
  await signIn(page, admin!)
  await page.getByLabel('Your account').click()
  await page.getByRole('link', { name: 'Operator' }).click()
  await page.locator('.figures').filter({ hasText: 'audio-files' }).getByText(/objects$/).first().waitFor()
  await page.getByRole('heading', { name: 'Dead letters' }).waitFor()
  await picture(page, 'operator')
  await assertAccessible(page, 'operator')
  await context.close()
})
