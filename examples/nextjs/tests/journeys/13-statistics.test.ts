/** Journey 13: plays, downloads and likes of others reach the creator's statistics, and nothing says by whom. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertAccessible, picture, useBrowser } from '../browser.ts'
import { eventually, giveRecording, makePerson, operator, signIn, type Person, worker } from '../people.ts'
import { melody, writeSound } from '../sounds.ts'

let creator: Person
let id = ''
const session = useBrowser(async ({ page, folder }) => {
  creator = await makePerson('Creator')
  id = await giveRecording(creator, await writeSound(folder, 'Counted.wav', 12, melody(2)), { isPublic: true })
  await signIn(page, creator)
})

async function rollUp(): Promise<void> {
  const { error } = await worker.rpc('roll_up_stats')
  if (error) throw error
}

test('before anybody listened, the page says so', async () => {
  const { page } = session
  await page.getByLabel('Your account').click()
  await page.getByRole('link', { name: 'Statistics' }).click()
  await page.getByText('Nobody has played your recordings yet.').waitFor()
})

test('plays and a download of others are counted, the creator’s own are not', async () => {
  const { page } = session
  const listeners = await Promise.all(['Ann', 'Ben'].map((name) => makePerson(name)))
  for (const { id: user_id } of [...listeners, creator]) {
    const { error } = await operator.from('listening_events').insert({ user_id, audio_id: id, listened_s: 12, context: 'search' })
    if (error) throw error
  }
  await operator.from('likes').insert({ user_id: listeners[0]!.id, audio_id: id })
  const sound = await fetch(`${process.env.SUPABASE_URL}/api/audio/${id}/original`)
  assert.equal(sound.status, 200)
  await eventually(async () => {
    await rollUp()
    const { data } = await operator.from('audio_stats').select('downloads').eq('audio_id', id).maybeSingle()
    return data?.downloads === 1 || undefined
  })
  await page.reload()
  const figure = (name: string) => page.locator('.figures > div').filter({ hasText: name }).locator('dd').first()
  await figure('Downloads').waitFor()
  assert.deepEqual(
    [await figure('Plays').innerText(), await figure('Listeners').innerText(), await figure('Downloads').innerText()],
    ['2', '2', '1'],
  )
  await page.getByText('The numbers as a table').click()
  await page.getByRole('region', { name: 'Figures by day' }).getByRole('cell', { name: '2' }).first().waitFor()
  await page.getByText('No day in this period had enough listeners.').waitFor()
  await picture(page, 'statistics')
  await assertAccessible(page, 'statistics')
  const text = await page.locator('main').innerText()
  for (const { name } of listeners) assert.ok(!text.includes(name))
})

test('one recording, another period, and the counts on its public page', async () => {
  const { page } = session
  await page.getByRole('combobox', { name: /^Recording/ }).selectOption({ label: 'Counted' })
  await page.getByRole('combobox', { name: /^Period/ }).selectOption({ label: 'A year' })
  await page.getByRole('img', { name: 'Plays by day, at most 2.' }).waitFor()
  await page.getByRole('region', { name: 'Recordings' }).getByRole('link', { name: 'Counted' }).click()
  await page.getByText('2 plays, 1 like, 1 download').waitFor()
})
