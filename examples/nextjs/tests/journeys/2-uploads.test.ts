/** Journey 2: several files and a folder, pause, resume after a reload, cancel, refusals, a 300 MB file. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { assertAccessible, holdUploads, IN_FIREFOX, PATIENCE_MS, picture, useBrowser } from '../browser.ts'
import { eventually, makePerson, operator, signIn, type Person } from '../people.ts'
import { chord, clicks, writeLargeSound, writeSound } from '../sounds.ts'

let person: Person
const session = useBrowser(async ({ page }) => {
  person = await makePerson('Uploader')
  await signIn(page, person)
})

test('three files go up together; what is no sound says so in the server’s words', async () => {
  const { page, folder } = session
  const notes = join(folder, 'notes.wav')
  await writeFile(notes, 'These are notes about a sound, and no sound.\n')
  await page.getByLabel('Files to upload').setInputFiles([
    await writeSound(folder, 'Chord in A.wav', 8, chord(220)),
    await writeSound(folder, 'Clicks at 120.wav', 12, clicks(120)),
    notes,
  ])
  await page.getByText('3 of 3 uploaded').waitFor()
  const row = (title: string) => page.getByRole('list', { name: 'Recordings' }).getByRole('listitem').filter({ hasText: title })
  await row('Chord in A').getByRole('img', { name: 'Waveform of Chord in A' }).waitFor()
  await row('Chord in A').getByText('0:08').waitFor()
  await row('Clicks at 120').getByText('120 BPM').waitFor()
  const refusal = await eventually(async () => {
    const { data } = await operator.from('audio_files').select('error_message').eq('title', 'notes').eq('user_id', person.id).single()
    return data?.error_message ?? undefined
  })
  await row('notes').getByText(refusal).waitFor()
  await picture(page, 'library-uploads')
  await assertAccessible(page, 'library with uploads')
})

test('Storage’s refusal is shown as it is', async () => {
  const { page, folder } = session
  const text = join(folder, 'manual.pdf')
  await writeFile(text, '%PDF-1.7')
  await page.getByLabel('Files to upload').setInputFiles(text)
  const row = page.getByRole('list', { name: 'Uploads', exact: true }).getByRole('listitem').filter({ hasText: 'manual.pdf' })
  await row.getByText('mime type application/pdf is not supported').waitFor()
  await row.getByRole('button', { name: 'Cancel manual.pdf' }).click()
  await row.waitFor({ state: 'detached' })
})

test('a folder goes up with what lies in it', { skip: IN_FIREFOX && 'WebDriver BiDi chooses no folders' }, async () => {
  const { page, folder } = session
  const [outer, inner] = [join(folder, 'Field trip'), join(folder, 'Field trip', 'Day two')]
  await mkdir(inner, { recursive: true })
  await writeSound(outer, 'Gate.wav', 2, clicks(90))
  await writeSound(inner, 'Brook.wav', 2, chord(300))
  await writeFile(join(outer, '.DS_Store'), 'not for us')
  await page.getByRole('button', { name: 'Clear finished' }).click()
  await page.getByLabel('Folder to upload').setInputFiles(outer)
  await page.getByText('2 of 2 uploaded').waitFor()
  const list = page.getByRole('list', { name: 'Recordings' })
  for (const title of ['Gate', 'Brook']) await list.getByRole('link', { name: title, exact: true }).waitFor()
})

// The same way in both browsers; the full size once.
const LARGE = IN_FIREFOX ? { megabytes: 60, duration: '1:45' } : { megabytes: 300, duration: '8:41' }

test(`${LARGE.megabytes} MB pause, go on after a reload where they stopped, and are analysed`, async () => {
  const { page, folder } = session
  const large = await writeLargeSound(folder, 'Nine minutes.wav', LARGE.megabytes)
  const offsets: number[] = []
  page.on('request', (request) => {
    if (request.method() === 'PATCH') offsets.push(Number(request.headers()['upload-offset'] ?? 0))
  })
  const uploads = page.getByRole('list', { name: 'Uploads', exact: true })
  const row = uploads.getByRole('listitem').filter({ hasText: 'Nine minutes' })
  const release = await holdUploads(page, 2)
  await page.getByLabel('Files to upload').setInputFiles(large)
  await eventually(async () => (offsets.length > 2 ? true : undefined))
  await row.getByRole('button', { name: 'Pause Nine minutes.wav' }).click()
  await row.getByText(/^Paused · /).waitFor()
  await row.getByRole('button', { name: 'Resume Nine minutes.wav' }).click()
  await row.getByRole('button', { name: 'Pause Nine minutes.wav' }).click()
  await row.getByText(/^Paused · /).waitFor()
  await release()
  await page.reload()
  await page.getByRole('list', { name: 'Interrupted uploads' }).getByText('Nine minutes').waitFor()
  await picture(page, 'library-interrupted')
  offsets.length = 0
  await page.getByLabel('Files to upload').setInputFiles(large)
  await page.getByText('1 of 1 uploaded').waitFor()
  assert.ok(offsets[0]! > 0, 'it began again')
  await page.getByRole('list', { name: 'Interrupted uploads' }).waitFor({ state: 'detached' })
  // It may be analysed beside the six hours of another journey.
  await page.getByRole('list', { name: 'Recordings' }).getByText(LARGE.duration).waitFor({ timeout: 3 * PATIENCE_MS })
})

test('a cancelled upload leaves nothing', async () => {
  const { page, folder } = session
  const large = await writeLargeSound(folder, 'Regret.wav', 30)
  const release = await holdUploads(page)
  await page.getByLabel('Files to upload').setInputFiles(large)
  const row = page.getByRole('list', { name: 'Uploads', exact: true }).getByRole('listitem').filter({ hasText: 'Regret' })
  await row.getByRole('button', { name: 'Pause Regret.wav' }).click()
  await row.getByRole('button', { name: 'Cancel Regret.wav' }).click()
  await row.waitFor({ state: 'detached' })
  await release()
  await page.reload()
  await page.getByRole('list', { name: 'Recordings' }).getByText(LARGE.duration).waitFor()
  assert.equal(await page.getByText('Regret').count(), 0)
})
