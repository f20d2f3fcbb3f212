/** Journey 14: captions and the flag behind them. A language model is not asked: this project has no key. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createClient } from '@supabase/supabase-js'
import type { Database } from '../../../../supabase/database.types.ts'
import { FlagProvider } from '../../lib/soundscape/flag-provider.ts'
import { assertAccessible, picture, useBrowser, visitor } from '../browser.ts'
import { eventually, giveRecording, makePerson, operator, PASSWORD, signIn, type Person, worker } from '../people.ts'
import { chord, writeSound } from '../sounds.ts'

let owner: Person
let id = ''
const session = useBrowser(async ({ page, folder }) => {
  owner = await makePerson('Captioned')
  id = await giveRecording(owner, await writeSound(folder, 'Drone.wav', 4, chord(140)), { isPublic: true })
  await signIn(page, owner)
})

async function switchFlag(state: 'on' | 'off'): Promise<void> {
  const { error } = await operator.from('feature_flags').update({ state }).eq('key', 'captions')
  if (error) throw error
}
after(() => switchFlag('on'))

test('without a key the owner reads why, and writes a caption, which strangers see as text', async () => {
  const { page, browser, complaints } = session
  await page.goto(`/recordings/${id}`)
  const caption = page.getByRole('region', { name: 'Caption' })
  await caption.getByText('This project has no language model.').waitFor()
  await caption.getByRole('button', { name: 'Write it yourself' }).click()
  await caption.getByLabel('Caption', { exact: true }).fill('A low drone. <b>Not bold.</b>')
  await caption.getByRole('button', { name: 'Save the caption' }).click()
  await caption.getByText('A low drone. <b>Not bold.</b>').waitFor()
  await picture(page, 'caption')
  await assertAccessible(page, 'caption')
  const stranger = await visitor(browser, complaints)
  await stranger.page.goto(`/recordings/${id}`)
  await stranger.page.getByText('A low drone. <b>Not bold.</b>').waitFor()
  await stranger.context.close()
})

test('the switches of the recording and of the account reach the database', async () => {
  const { page } = session
  await page.getByLabel('A language model may describe it').click()
  await page.waitForFunction(() => document.querySelector<HTMLInputElement>('section[aria-label="Caption"] input')?.checked === false)
  const caption = await eventually(async () => {
    const { data } = await operator.from('audio_captions').select('is_wanted, caption').eq('audio_id', id).single()
    return data?.is_wanted === false ? data.caption : undefined
  })
  assert.equal(caption, 'A low drone. <b>Not bold.</b>')
  await page.goto('/account')
  const answered = page.waitForResponse((response) => response.url().includes('user_preferences') && response.request().method() === 'PATCH')
  // Not uncheck(): the box follows what the mutation says, a moment after the click.
  await page.getByLabel('A language model may describe my public recordings').click()
  await answered
  const { data: preferences } = await operator.from('user_preferences').select('captions').eq('user_id', owner.id).single()
  assert.equal(preferences?.captions, false)
})

test('one UPDATE of the flag changes an open page, without a reload', async (t) => {
  const { page } = session
  const field = page.getByLabel('A language model may describe my public recordings')
  await field.waitFor()
  const switchedAt = Date.now()
  await switchFlag('off')
  await field.waitFor({ state: 'detached' })
  t.diagnostic(`${Date.now() - switchedAt} ms`)
  await switchFlag('on')
  await field.waitFor()
})

test('the provider for OpenFeature answers each user as the database does', async () => {
  const key = 'test_equality'
  const { error } = await operator.from('feature_flags').insert({ key, description: 'A test', state: 'some', percentage: 50 })
  if (error) throw error
  try {
    for (let number = 0; number < 8; number++) {
      const person = await makePerson(`Equal ${number}`)
      const client = createClient<Database>(process.env.SUPABASE_URL!, process.env.SUPABASE_SECRET_KEY!, {
        auth: { persistSession: false, autoRefreshToken: false },
      })
      const signedIn = await client.auth.signInWithPassword({ email: person.email, password: PASSWORD })
      if (signedIn.error) throw signedIn.error
      const provider = new FlagProvider(client)
      await provider.initialize()
      const told = provider.resolveBooleanEvaluation(key, false)
      const unknown = provider.resolveBooleanEvaluation('test_unknown', true)
      await provider.onClose()
      await client.realtime.disconnect()
      const { data: expected } = await worker.rpc('flag_for', { key, user_id: person.id })
      assert.equal(told.value, expected)
      assert.deepEqual([unknown.value, unknown.errorCode], [true, 'FLAG_NOT_FOUND'])
    }
  } finally {
    await operator.from('feature_flags').delete().eq('key', key)
  }
})
