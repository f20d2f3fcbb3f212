/** A real browser on the running application, and what the journeys share. */
import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'

/** Where the application runs; scripts/test-web sets it. */
export const SITE = process.env.SOUNDSCAPE_SITE_URL ?? 'http://127.0.0.1:3000'
export const PASSWORD = 'correct horse battery'
/** Long enough for a machine that is busy with other things: a test says what is wrong, not how fast it is. */
export const PATIENCE_MS = 120_000

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.SOUNDSCAPE_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
}

export function freshEmail(): string {
  return `web-${randomUUID()}@example.com`
}

/** A page of a new visitor, failing the test on any violation of the content policy or uncaught error. */
export async function visitor(browser: Browser, complaints: string[]): Promise<{ context: BrowserContext; page: Page }> {
  const context = await browser.newContext({ baseURL: SITE, locale: 'en-GB' })
  context.setDefaultTimeout(PATIENCE_MS)
  const page = await context.newPage()
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => {
    if (/content security policy/i.test(message.text())) complaints.push(message.text())
  })
  page.on('request', (request) => {
    const { hostname, protocol } = new URL(request.url())
    if (/^(http|ws)/.test(protocol) && hostname !== '127.0.0.1') complaints.push(`asked ${request.url()}`)
  })
  return { context, page }
}

export async function signUp(page: Page, email: string): Promise<void> {
  await page.goto('/sign-up')
  await page.getByLabel('E-mail').fill(email)
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Sign up' }).click()
  await page.waitForURL('**/library')
}

/** Keep a picture where SOUNDSCAPE_PICTURES names a folder. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env.SOUNDSCAPE_PICTURES
  if (!folder) return
  await mkdir(folder, { recursive: true })
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true })
}
