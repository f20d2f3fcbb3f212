/** Take the pictures of docs/tutorial.md. Run by scripts/test-web --pictures, which says where they go. */
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { launch, picture, visitor } from './browser.ts'
import { freshEmail, mailedLink, PASSWORD } from './people.ts'
import { chord, clicks, makeFolder, melody, writeSound } from './sounds.ts'

const complaints: string[] = []
const folder = await makeFolder()
const browser = await launch()
const { page } = await visitor(browser, complaints, { viewport: { width: 1000, height: 640 } })
const email = freshEmail()

await page.goto('/sign-up')
await page.getByLabel('Name that others see').fill('Alice')
await page.getByLabel('E-mail').fill('alice@example.com')
await picture(page, 'tutorial/1-sign-up', false)
await page.getByLabel('E-mail').fill(email)
await page.getByLabel('Password').fill(PASSWORD)
await page.getByRole('main').getByRole('button', { name: 'Sign up' }).click()
await page.goto(await mailedLink(email))
await page.waitForURL('**/library')
await page.getByText('No recordings yet').waitFor()
await picture(page, 'tutorial/2-empty-library', false)

await page.getByLabel('Files to upload').setInputFiles([
  await writeSound(folder, 'Chord in A.wav', 8, chord(220)),
  await writeSound(folder, 'Clicks at 120.wav', 20, clicks(120)),
  await writeSound(folder, 'A melody.wav', 30, melody(3)),
])
await page.getByText('3 of 3 uploaded').waitFor()
const row = (title: string) => page.getByRole('list', { name: 'Recordings' }).getByRole('listitem').filter({ hasText: title })
for (const title of ['Chord in A', 'Clicks at 120', 'A melody']) await row(title).getByRole('img', { name: `Waveform of ${title}` }).waitFor()
await row('Clicks at 120').getByText('120 BPM').waitFor()
await page.getByRole('button', { name: 'Clear finished' }).click()
await picture(page, 'tutorial/3-ready', false)

await row('Clicks at 120').getByRole('link', { name: 'Clicks at 120', exact: true }).click()
await page.getByRole('region', { name: 'Player of Clicks at 120' }).getByTestId('waveform').waitFor()
await page.getByAltText('Spectrogram of Clicks at 120').first().waitFor({ state: 'attached' })
await page.locator('.figures').getByText('120 BPM').waitFor()
await picture(page, 'tutorial/4-recording', false)

await browser.close()
await rm(folder, { recursive: true })
assert.deepEqual(complaints, [])
