/** Accounts for the journeys, made as an operator makes them, and what lies in the outbox. */
import { createClient, type SupabaseClient } from '@supabase/supabase-js'
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Page } from 'playwright-core'
import type { Database } from '../../../supabase/database.types.ts'
import { PATIENCE_MS } from './browser.ts'

export const PASSWORD = 'correct horse battery'
const PROJECT = process.env.SUPABASE_URL ?? ''
const CONTROL = process.env.SOUNDSCAPE_CONTROL_URL ?? ''

/** The operator's client. Only tests have one. */
export const operator = createClient<Database>(PROJECT, process.env.SUPABASE_SECRET_KEY ?? '', {
  auth: { persistSession: false, autoRefreshToken: false },
})

/** The same, for the functions that only a worker calls: they are not among the generated types. */
export const worker = operator as SupabaseClient

export interface Person {
  id: string
  email: string
  name: string
}

export const freshEmail = () => `web-${randomUUID()}@example.com`

/** A person with a confirmed address. */
export async function makePerson(name: string, role?: 'moderator' | 'admin'): Promise<Person> {
  const email = freshEmail()
  const { data, error } = await operator.auth.admin.createUser({
    email, password: PASSWORD, email_confirm: true, user_metadata: { display_name: name },
  })
  if (error) throw error
  if (role) {
    const { error } = await operator.from('user_roles').insert({ user_id: data.user.id, role })
    if (error) throw error
  }
  return { id: data.user.id, email, name }
}

/** Sign in by the form. */
export async function signIn(page: Page, { email }: Person): Promise<void> {
  await page.goto('/sign-in')
  await page.getByLabel('E-mail').fill(email)
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.waitForURL('**/library')
}

export interface Mail {
  kind: string
  subject: string
  text: string
  /** Of mails from Auth. */
  link?: string
  /** Of notifications. */
  list_unsubscribe?: string
}

/** What was mailed to this address, newest first. */
export async function mailsTo(email: string): Promise<Mail[]> {
  const response = await fetch(`${PROJECT}/api/dev/mail?to=${encodeURIComponent(email)}`)
  return ((await response.json()) as { mail: Mail[] }).mail
}

/** The newest link that was mailed to this address, of those that were not opened yet. */
export async function mailedLink(email: string, opened: string[] = []): Promise<string> {
  return eventually(async () => (await mailsTo(email)).map(({ link }) => link).find((link) => link && !opened.includes(link)))
}

/** A recording of this person, uploaded past the pages. Returns its id; `isReady` waits for its analysis. */
export async function giveRecording(
  person: Person, path: string, { title = basename(path).replace(/\.\w+$/, ''), isPublic = false, isReady = true } = {},
): Promise<string> {
  const name = `${person.id}/${randomUUID()}.wav`
  const { data, error } = await operator
    .from('audio_files').insert({ user_id: person.id, title, file_path: name, is_public: isPublic }).select('id').single()
  if (error) throw error
  const upload = await operator.storage.from('audio-files').upload(name, await readFile(path), { contentType: 'audio/wav' })
  if (upload.error) throw upload.error
  if (isReady) await settled(data.id)
  return data.id
}

/** A public recording of this title that was given before, in the other browser, or else a new one. */
export async function findOrGive(title: string, give: () => Promise<string>): Promise<string> {
  const { data, error } = await operator
    .from('audio_files').select('id').eq('title', title).in('status', ['queued', 'analyzing', 'ready']).limit(1)
  if (error) throw error
  return data[0]?.id ?? (await give())
}

/** Waits until a recording is analysed. */
export async function settled(id: string): Promise<void> {
  // Six hours take some minutes on a busy machine.
  await eventually(async () => {
    const { data } = await operator.from('audio_files').select('status, error_message').eq('id', id).single()
    if (data?.status === 'failed' || data?.status === 'rejected') throw new Error(data.error_message ?? data.status)
    return data?.status === 'ready' || undefined
  }, 3 * PATIENCE_MS)
}

export async function control(action: 'stop' | 'start'): Promise<void> {
  const { ok } = await fetch(`${CONTROL}/${action}`, { method: 'POST' })
  if (!ok) throw new Error(`The project does not ${action}.`)
}

/** What Firefox and its push service have said to each other. */
export async function pushes(): Promise<{ greetings: number; subscriptions: number; acknowledged: number }> {
  return (await fetch(`${CONTROL}/pushes`)).json() as ReturnType<typeof pushes>
}

/** What `look` finds, as soon as it finds something. */
export async function eventually<Found>(look: () => Promise<Found | undefined>, patienceMs = PATIENCE_MS): Promise<Found> {
  const end = Date.now() + patienceMs
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (Date.now() > end) throw new Error('It did not come about.')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
