/** Journey 15: choose what one is told, quiet hours, a mail that ends mails like it, the bell. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertAccessible, picture, useBrowser } from '../browser.ts'
import { eventually, giveRecording, makePerson, mailsTo, operator, signIn, type Person } from '../people.ts'
import { melody, writeSound } from '../sounds.ts'

let person: Person
let recording: string
const session = useBrowser(async ({ page, folder }) => {
  person = await makePerson('Told')
  recording = await giveRecording(person, await writeSound(folder, 'Evening.wav', 5, melody(15)), { isPublic: true })
  await signIn(page, person)
})

const enabled = async (kind: string, channel: string) => {
  const { data } = await operator
    .from('notification_preferences').select('enabled').match({ user_id: person.id, kind, channel }).maybeSingle()
  return data?.enabled
}

test('the page says what is told where, and a click changes it', async () => {
  const { page } = session
  await page.getByLabel(/^Notifications/).click()
  await page.getByRole('link', { name: 'Notification settings' }).click()
  await page.waitForURL('**/account/notifications')
  const liked = page.getByRole('checkbox', { name: 'Somebody liked a recording. E-mail' })
  assert.equal(await liked.isChecked(), false)
  await liked.check()
  await eventually(async () => (await enabled('recording_liked', 'email')) || undefined)
  const ready = page.getByRole('checkbox', { name: /results are there\. Here/ })
  await ready.uncheck()
  await eventually(async () => (await enabled('recording_ready', 'in_app')) === false || undefined)
  await page.reload()
  await liked.waitFor()
  assert.equal(await liked.isChecked(), true)
  assert.equal(await ready.isChecked(), false)
  await assertAccessible(page, 'notifications')
  await picture(page, 'notifications')
})

test('quiet hours and the language are kept', async () => {
  const { page } = session
  await page.getByLabel('From').fill('22:00')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Give both times, or neither.').waitFor()
  await page.getByLabel('Until').fill('07:00')
  await page.getByLabel('Time zone').selectOption('Europe/Berlin')
  await page.getByLabel('Language of mails').selectOption('de')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Saved.').waitFor()
  const { data } = await operator
    .from('user_preferences').select('time_zone, quiet_from, quiet_until, locale').eq('user_id', person.id).single()
  assert.deepEqual(data, { time_zone: 'Europe/Berlin', quiet_from: '22:00:00', quiet_until: '07:00:00', locale: 'de' })
  // Or the next test would wait for the morning.
  await operator.from('user_preferences').update({ quiet_from: null, quiet_until: null }).eq('user_id', person.id)
})

test('a like is in the bell, then in a mail, and the link in it ends mails like it', async () => {
  const { page } = session
  const listener = await makePerson('Listener')
  await operator.from('likes').insert({ user_id: listener.id, audio_id: recording })
  await page.getByLabel(/^Notifications, 1 unread/).click()
  await page.getByText('Somebody liked “Evening”.').waitFor()
  const mail = await eventually(async () => (await mailsTo(person.email)).find(({ kind }) => kind === 'notification'))
  assert.equal(mail.subject, 'Jemandem gefällt „Evening“.')
  assert.ok(!mail.text.includes(listener.name) && !mail.text.includes(listener.id), 'who likes it is nobody’s to know')
  assert.ok(mail.text.includes(`/recordings/${recording}`))
  // It is a page of the worker, without React.
  await page.evaluate((link) => location.assign(link), mail.list_unsubscribe!.slice(1, -1))
  await page.getByRole('heading', { name: 'Mails about notifications' }).waitFor()
  await page.getByText('Likes', { exact: true }).waitFor()
  await assertAccessible(page, 'the page behind the link')
  assert.equal(await enabled('recording_liked', 'email'), true, 'opening the link changes nothing')
  await page.getByRole('button', { name: 'No more mails about these' }).click()
  await page.getByText('Done. You get no more mails about these:').waitFor()
  await eventually(async () => (await enabled('recording_liked', 'email')) === false || undefined)
})
