/** Journey 16: a browser takes pushes, gets one and shows it, takes no more. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IN_FIREFOX, useBrowser, type LaunchOptions } from '../browser.ts'
import { eventually, giveRecording, makePerson, operator, pushes, signIn, type Person } from '../people.ts'
import { melody, writeSound } from '../sounds.ts'

let person: Person
/** What the push service had counted before: the journey may run a second time against it. */
let before: Awaited<ReturnType<typeof pushes>>
const session = useBrowser(
  async ({ page }) => {
    person = await makePerson('Pushed')
    await signIn(page, person)
    await page.goto('/account/notifications')
  },
  async () => {
    before = await pushes()
    return {
      preferences: {
        // Playwright switches it off.
        'dom.push.connection.enabled': true,
        // From tests/autopush.py.
        ...(JSON.parse(process.env.SOUNDSCAPE_PUSH_PREFERENCES ?? '{}') as LaunchOptions['preferences']),
      },
    }
  },
)

async function subscriptions(): Promise<string[]> {
  const { data, error } = await operator.from('push_subscriptions').select('endpoint').eq('user_id', person.id)
  if (error) throw error
  return data.map(({ endpoint }) => endpoint)
}

test('a browser that may show no notifications says so, and nothing is kept', { skip: IN_FIREFOX && 'this one may' }, async () => {
  const { page } = session
  await page.getByRole('button', { name: 'Push to this browser' }).click()
  await page.getByRole('alert').filter({ hasText: 'was not allowed to show notifications' }).waitFor()
  assert.deepEqual(await subscriptions(), [])
})

const skip = !IN_FIREFOX && 'Chromium gets its pushes from a service of Google’s alone'

test('a click subscribes the browser, and a push wakes its service worker', { skip }, async () => {
  const { page, folder } = session
  // Firefox loses a subscription that is asked for while it greets the service.
  await eventually(async () => (await pushes()).greetings > before.greetings || undefined)
  await page.getByRole('button', { name: 'Push to this browser' }).click()
  await page.getByRole('button', { name: 'No more pushes here' }).waitFor()
  assert.equal((await subscriptions()).length, 1)
  await giveRecording(person, await writeSound(folder, 'Morning.wav', 5, melody(16)))
  await eventually(async () => (await pushes()).acknowledged > before.acknowledged || undefined)
})

test('the browser remembers it after a reload; another click ends it', { skip }, async () => {
  const { page } = session
  await page.reload()
  await page.getByRole('button', { name: 'No more pushes here' }).click()
  await page.getByRole('button', { name: 'Push to this browser' }).waitFor()
  assert.deepEqual(await subscriptions(), [])
  await eventually(async () => (await pushes()).subscriptions === before.subscriptions || undefined)
})

test('who signs out gets no more pushes', { skip }, async () => {
  const { page } = session
  await page.getByRole('button', { name: 'Push to this browser' }).click()
  await page.getByRole('button', { name: 'No more pushes here' }).waitFor()
  await page.getByLabel('Your account').click()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('link', { name: 'Sign in' }).first().waitFor()
  assert.deepEqual(await subscriptions(), [])
})
