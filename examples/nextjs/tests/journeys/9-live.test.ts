/** Journey 9: live listening, by an AudioWorklet and by MediaRecorder, from a fake microphone; and keeping it. */
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { assertAccessible, IN_FIREFOX, picture, useBrowser } from '../browser.ts'
import { makePerson, signIn } from '../people.ts'
import { writeSound } from '../sounds.ts'

const PITCH_HZ = 440
const session = useBrowser(
  async ({ page }) => signIn(page, await makePerson('Listener live')),
  async (folder) => ({ microphone: await writeSound(folder, 'microphone.wav', 20, (t) => 0.5 * Math.sin(2 * Math.PI * PITCH_HZ * t)) }),
)
const skip = IN_FIREFOX && 'Firefox’s fake microphone plays no file'

/** Wait until the pitch of the microphone is read. */
async function waitForPitch(page: Page): Promise<void> {
  await page.waitForFunction(
    ([hz]) => Math.abs(parseFloat(document.querySelector('dl[aria-label=Readings] > :nth-child(3) dd')?.textContent ?? '0') - hz!) < 5,
    [PITCH_HZ],
  )
}

test('the microphone is read while it sounds', { skip }, async () => {
  const { page, context } = session
  await context.grantPermissions(['microphone'])
  await page.goto('/live')
  await page.getByRole('button', { name: 'Use the microphone' }).press('Enter')
  await waitForPitch(page)
  // A pitch needs less sound than the 400 ms of a loudness.
  await page.getByLabel('Readings').getByText(/−?\d+\.\d LUFS/).waitFor()
  await picture(page, 'live')
  await assertAccessible(page, 'live')
  await page.getByRole('button', { name: 'Stop' }).click()
  await page.getByText(/were heard/).waitFor()
})

test('a recording by MediaRecorder is heard and kept', { skip }, async () => {
  const { page } = session
  await page.goto('/live')
  await page.getByLabel('Keep this recording').check()
  await page.getByLabel('Send as').selectOption('recorder')
  await page.getByRole('button', { name: 'Use the microphone' }).press('Enter')
  await waitForPitch(page)
  await page.getByRole('button', { name: 'Stop' }).click()
  await page.getByRole('link', { name: 'open the recording' }).click()
  await page.getByRole('heading', { level: 1, name: /^Live, / }).waitFor()
})
