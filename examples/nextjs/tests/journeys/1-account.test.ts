/** Journey 1: sign up, confirm by mail, sign in and out, password, address, magic link, another account, two tabs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertAccessible, picture, useBrowser, visitor } from '../browser.ts'
import { freshEmail, giveRecording, mailedLink, makePerson, PASSWORD, signIn } from '../people.ts'
import { chord, writeSound } from '../sounds.ts'

const session = useBrowser()
const email = freshEmail()

test('a visitor signs up, and the mailed link signs in', async () => {
  const { page } = session
  await page.goto('/library')
  await page.waitForURL('**/sign-in?next=%2Flibrary')
  await page.getByRole('main').getByRole('link', { name: 'Sign up' }).click()
  await page.getByRole('heading', { name: 'Sign up' }).waitFor()
  await page.getByLabel('Name that others see').fill('Zoë')
  await page.getByLabel('E-mail').fill(email)
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('main').getByRole('button', { name: 'Sign up' }).click()
  await page.getByText(`Open the link that was mailed to ${email}.`).waitFor()
  await page.goto(await mailedLink(email))
  await page.waitForURL('**/library')
  await page.getByText('No recordings yet').waitFor()
  await picture(page, 'library-empty')
})

test('the session survives a reload and the end of its token', async () => {
  const { page, context } = session
  await page.reload()
  await page.getByText('No recordings yet').waitFor()
  await expire(context)
  await page.reload()
  await page.getByText('No recordings yet').waitFor()
  await page.getByLabel('Your account').click()
  await page.getByText(email).waitFor()
})

test('signing out in one tab signs out the other; a wrong password says so', async () => {
  const { page, context } = session
  const other = await context.newPage()
  await other.goto('/library')
  await other.getByText('No recordings yet').waitFor()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('link', { name: 'Sign in' }).first().waitFor()
  assert.equal(new URL(page.url()).pathname, '/', 'not to sign-in, where a refresh of the library leads')
  await other.waitForURL('**/sign-in?next=%2Flibrary')
  await other.close()
  await page.goto('/sign-in')
  await page.getByLabel('E-mail').fill(email)
  await page.getByLabel('Password').fill('not this one')
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.getByText('Invalid login credentials').waitFor()
  await picture(page, 'sign-in-error')
  await assertAccessible(page, 'sign-in with an error')
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.waitForURL('**/library')
})

test('a forgotten password is replaced by a mailed link', async () => {
  const { browser, complaints } = session
  const person = await makePerson('Forgetful')
  const { context, page } = await visitor(browser, complaints)
  await page.goto('/sign-in')
  await page.getByRole('link', { name: 'Choose a new one' }).click()
  await page.getByRole('heading', { name: 'Choose a new password' }).waitFor()
  await page.getByLabel('E-mail').fill(person.email)
  await page.getByRole('button', { name: 'Mail me a link' }).click()
  await page.getByText('a link is on its way').waitFor()
  await page.goto(await mailedLink(person.email))
  await page.waitForURL('**/account#change-password')
  await page.getByLabel('New password').fill('another horse entirely')
  await page.getByRole('button', { name: 'Change the password' }).click()
  await page.getByText('The password is changed.').waitFor()
  await context.clearCookies()
  await page.goto('/sign-in')
  await page.getByLabel('E-mail').fill(person.email)
  await page.getByLabel('Password').fill('another horse entirely')
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.waitForURL('**/library')
  await context.close()
})

test('a changed address is confirmed from both', async () => {
  const { browser, complaints } = session
  const person = await makePerson('Mover')
  const { context, page } = await visitor(browser, complaints)
  await signIn(page, person)
  await page.goto('/account')
  const next = freshEmail()
  await page.getByLabel('New address').fill(next)
  await page.getByRole('button', { name: 'Change the address' }).click()
  await page.getByText('mailed to both addresses').waitFor()
  await page.goto(await mailedLink(person.email))
  await page.getByText('Confirmation link accepted').waitFor()
  await page.goto(await mailedLink(next))
  await page.getByText(`Your address is ${next}.`).waitFor()
  await context.close()
})

test('a new name is in the menu at once; signing out everywhere leads to the front page, and other devices to sign-in', async () => {
  const { browser, complaints } = session
  const person = await makePerson('Before')
  const { context, page } = await visitor(browser, complaints)
  const { context: otherDevice, page: other } = await visitor(browser, complaints)
  await signIn(other, person)
  await signIn(page, person)
  await page.goto('/account')
  await page.getByLabel('Name that others see').fill('Afterwards')
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  await page.getByText('Saved.', { exact: true }).waitFor()
  await page.getByLabel('Your account').click()
  await page.getByRole('banner').getByText('Afterwards', { exact: true }).waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Sign out everywhere' }).click()
  await page.getByRole('link', { name: 'Sign in' }).first().waitFor()
  assert.equal(new URL(page.url()).pathname, '/')
  await expire(otherDevice)
  await other.goto('/library')
  await other.waitForURL('**/sign-in?next=%2Flibrary')
  await context.close()
  await otherDevice.close()
})

test('a mailed link signs in without a password', async () => {
  const { browser, complaints } = session
  const person = await makePerson('Linked')
  const { context, page } = await visitor(browser, complaints)
  await page.goto('/sign-in?next=/playlists')
  await page.getByLabel('E-mail').fill(person.email)
  await page.getByRole('button', { name: 'Mail me a link' }).click()
  await page.getByText(`A link is on its way to ${person.email}.`).waitFor()
  await page.goto(await mailedLink(person.email))
  await page.waitForURL('**/playlists')
  // The same link a second time is refused in words.
  await context.clearCookies()
  await page.goto(await mailedLink(person.email))
  await page.waitForURL('**/sign-in?error=*')
  await page.getByRole('alert').filter({ hasText: /./ }).waitFor()
  await context.close()
})

test('a key for scripts is made, works as far as its scope, and is revoked', async () => {
  const { browser, complaints } = session
  const person = await makePerson('Scripter')
  const { context, page } = await visitor(browser, complaints)
  await signIn(page, person)
  await page.goto('/account')
  await page.getByRole('link', { name: 'Manage API keys' }).click()
  await page.getByText('No keys yet.').waitFor()
  await page.getByLabel('What it is for').fill('nightly')
  await page.getByLabel('What it may do').selectOption('read')
  await page.getByRole('button', { name: 'Make a key' }).click()
  const key = await page.getByTestId('key').innerText()
  const exchange = () =>
    fetch(`${process.env.SUPABASE_URL}/api/token`, { method: 'POST', headers: { authorization: `Bearer ${key}` } })
  const token = (await (await exchange()).json()) as { scope: string; user_id: string }
  assert.deepEqual([token.scope, token.user_id], ['read', person.id])
  await picture(page, 'keys')
  await assertAccessible(page, 'keys')
  await page.getByRole('button', { name: 'Revoke nightly' }).click()
  await page.getByRole('list', { name: 'API keys' }).getByText('Revoked').waitFor()
  assert.equal((await exchange()).status, 401)
  await context.close()
})

test('everything that somebody has here is exported as a zip', async () => {
  const { browser, complaints, folder } = session
  const person = await makePerson('Archivist')
  await giveRecording(person, await writeSound(folder, 'Kept.wav', 2, chord(200)))
  const { context, page } = await visitor(browser, complaints)
  await signIn(page, person)
  await page.goto('/account')
  await page.getByRole('button', { name: 'Export everything' }).click()
  await page.getByText(/^Ready: /).waitFor()
  const response = page.waitForResponse(/\/object\/sign\/exports\//)
  await page.getByRole('button', { name: 'Download the zip' }).click()
  assert.equal((await response).status(), 200)
  await context.close()
})

test('an account is deleted by its owner', async () => {
  const { browser, complaints } = session
  const person = await makePerson('Leaver')
  const { context, page } = await visitor(browser, complaints)
  await signIn(page, person)
  await page.goto('/account')
  page.once('dialog', (dialog) => void dialog.accept())
  await page.getByRole('button', { name: 'Delete the account' }).click()
  await page.waitForURL('**/sign-in?deleted=1')
  await page.getByRole('status').filter({ hasText: 'The account is deleted' }).waitFor()
  assert.deepEqual((await context.cookies()).filter(({ name }) => /^sb-/.test(name)), [], 'nothing of the session is left')
  await page.goto('/sign-in')
  await page.getByLabel('E-mail').fill(person.email)
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.getByRole('main').getByRole('alert').filter({ hasText: /./ }).waitFor()
  assert.match(page.url(), /\/sign-in$/)
  await context.close()
})

test('another account signs in', async () => {
  const { browser, complaints } = session
  const { context, page } = await visitor(browser, complaints)
  await page.goto('/sign-in')
  await page.getByRole('button', { name: 'Continue with Google' }).click()
  await page.waitForURL('**/library')
  await page.getByLabel('Your account').click()
  await page.getByText('ada@example.org').waitFor()
  await context.close()
})

/** The session's cookies, as they are when its token has ended. */
async function expire(context: typeof session.context): Promise<void> {
  const cookies = (await context.cookies()).filter(({ name }) => /^sb-.*-auth-token(\.\d+)?$/.test(name))
  const encoded = cookies.sort((a, b) => a.name.localeCompare(b.name)).map(({ value }) => value).join('')
  const kept = JSON.parse(Buffer.from(encoded.replace(/^base64-/, ''), 'base64url').toString()) as { expires_at: number }
  assert.ok(kept.expires_at > Date.now() / 1000)
  kept.expires_at = Math.floor(Date.now() / 1000) - 60
  const changed = `base64-${Buffer.from(JSON.stringify(kept)).toString('base64url')}`
  const size = Math.ceil(changed.length / cookies.length)
  await context.addCookies(cookies.map((cookie, i) => ({ ...cookie, value: changed.slice(i * size, (i + 1) * size) })))
}
