/** A real browser on the running application, and what the journeys share. */
import { AxeBuilder } from '@axe-core/playwright'
import assert from 'node:assert/strict'
import { mkdir, rm } from 'node:fs/promises'
import { after, afterEach, before } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium, firefox, type Browser, type BrowserContext, type BrowserContextOptions, type Locator, type Page } from 'playwright-core'
import { makeFolder } from './sounds.ts'

/** Where the application runs; scripts/test-web sets it. */
export const SITE = process.env.SOUNDSCAPE_SITE_URL ?? 'http://127.0.0.1:3000'
export const IN_FIREFOX = process.env.SOUNDSCAPE_BROWSER === 'firefox'
/** Long enough for a machine that is busy with other things: a test says what is wrong, not how fast it is. */
export const PATIENCE_MS = 1000 * Number(process.env.SOUNDSCAPE_PATIENCE_S ?? 240)

const CHROMIUM_ARGUMENTS = [
  '--no-sandbox', '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--autoplay-policy=no-user-gesture-required', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
]

export interface LaunchOptions {
  /** A WAV file that Chromium hears. */
  microphone?: string
  /** Firefox's, by their names in about:config. */
  preferences?: Record<string, string | number | boolean>
}

export function launch({ microphone, preferences }: LaunchOptions = {}): Promise<Browser> {
  if (IN_FIREFOX) {
    return firefox.launch({
      // WebDriver BiDi, which Debian's own Firefox speaks.
      channel: 'moz-firefox',
      executablePath: fileURLToPath(new URL('firefox.mjs', import.meta.url)),
      firefoxUserPrefs: {
        'media.autoplay.default': 0, 'media.navigator.permission.disabled': true, 'media.navigator.streams.fake': true,
        ...preferences,
      },
    })
  }
  return chromium.launch({
    executablePath: process.env.SOUNDSCAPE_CHROMIUM ?? '/usr/bin/chromium',
    args: [...CHROMIUM_ARGUMENTS, ...(microphone ? [`--use-file-for-fake-audio-capture=${microphone}`] : [])],
  })
}

// Playwright closes its browsers then, but the tests would go on without them. On exit it ends them too.
process.once('SIGTERM', () => process.exit(143))

export interface Session {
  browser: Browser
  context: BrowserContext
  page: Page
  /** For files to upload. */
  folder: string
  /** What a page must not do: break the content policy, throw, ask another host. */
  complaints: string[]
}

/**
 * A browser with one visitor for all tests of a file, and a folder. `prepare` runs before the first test.
 * Afterwards no page may have complained.
 */
export function useBrowser(
  prepare?: (session: Session) => Promise<void>, options: (folder: string) => Promise<LaunchOptions> = async () => ({}),
): Session {
  const session = { complaints: [] as string[] } as Session
  before(async () => {
    session.folder = await makeFolder()
    session.browser = await launch(await options(session.folder))
    Object.assign(session, await visitor(session.browser, session.complaints))
    await prepare?.(session)
  })
  afterEach(async (context) => {
    if ('error' in context && context.error && session.browser) await printPages(session.browser)
  })
  after(async () => {
    await session.browser.close()
    await rm(session.folder, { recursive: true })
    assert.deepEqual(session.complaints, [], 'a page broke the content policy, threw, or asked another host')
  })
  return session
}

/** Where the pages are after a test failed, and what they say: the error knows only what it waited for. */
async function printPages(browser: Browser): Promise<void> {
  for (const page of browser.contexts().flatMap((context) => context.pages())) {
    const text = await page.locator('body').innerText({ timeout: 5000 }).catch(String)
    console.log(`The page at ${page.url()} says: ${text.replace(/\s+/g, ' ').slice(0, 600)}`)
  }
}

/** A page of a new visitor. */
export async function visitor(
  browser: Browser, complaints: string[], options: BrowserContextOptions = {},
): Promise<{ context: BrowserContext; page: Page }> {
  const context = await browser.newContext({ baseURL: SITE, locale: 'en-GB', ...options })
  context.setDefaultTimeout(PATIENCE_MS)
  if (IN_FIREFOX) await context.addInitScript(playWithoutLoudspeaker)
  context.on('page', (page) => watch(page, complaints))
  return { context, page: await context.newPage() }
}

/** A machine without a loudspeaker is an error of decoding to Firefox, unless nothing is to be heard. */
function playWithoutLoudspeaker(): void {
  const play = HTMLMediaElement.prototype.play
  HTMLMediaElement.prototype.play = function () {
    this.muted = true
    return play.call(this)
  }
}

/**
 * Type as a person does. In Firefox, Playwright's `fill` assigns the value, and React takes that for its own change: no
 * handler runs. Chromium's inserts text.
 */
function typeInFirefox(page: Page): void {
  const locator = Object.getPrototypeOf(page.locator('body')) as Locator
  locator.fill = async function (this: Locator, text) {
    // When React takes over a field that nobody has changed, the field loses its selection.
    do {
      await this.press('Control+a')
      await this.press('Delete')
    } while (await this.inputValue())
    if (text) await this.pressSequentially(text)
  }
}

function watch(page: Page, complaints: string[]): void {
  if (IN_FIREFOX) typeInFirefox(page)
  const [goto, reload] = [page.goto.bind(page), page.reload.bind(page)]
  page.goto = async (...address) => {
    for (let attempts = 1; ; attempts++) {
      try {
        const response = await goto(...address)
        await untilItWorks(page)
        return response
      } catch (error) {
        // Firefox gives up a navigation when the page goes somewhere by itself at that moment, after signing out for example.
        if (attempts === 3 || !/NS_BINDING_ABORTED/.test(String(error))) throw error
      }
    }
  }
  page.reload = async (...options) => {
    const response = await reload(...options)
    await untilItWorks(page)
    return response
  }
  page.on('pageerror', (error) => {
    // What a page still reads from the server when it is left, Firefox calls an error of the page.
    if (!(IN_FIREFOX && /Error in input stream/.test(String(error)))) complaints.push(String(error))
  })
  page.on('console', (message) => {
    if (/content security policy/i.test(message.text())) complaints.push(message.text())
  })
  page.on('request', (request) => {
    const { hostname, protocol } = new URL(request.url())
    if (/^(http|ws)/.test(protocol) && hostname !== '127.0.0.1') complaints.push(`asked ${request.url()}`)
  })
}

/**
 * Hold back a resumable upload once `passing` of its chunks went through, so that a test can act in the middle of it
 * however fast the machine is. Returns the function that lets everything through.
 */
export async function holdUploads(page: Page, passing = 0): Promise<() => Promise<void>> {
  let seen = 0
  let release = () => {}
  const released = new Promise<void>((resolve) => (release = resolve))
  const isUpload = ({ pathname }: URL) => pathname.includes('/upload/resumable')
  await page.route(isUpload, async (route) => {
    if (route.request().method() === 'PATCH' && ++seen > passing) await released
    // The page may have given the request up meanwhile.
    await route.continue().catch(() => undefined)
  })
  return async () => {
    release()
    await page.unroute(isUpload)
  }
}

/** Press Tab until this has the focus. Throws where the keyboard does not come there. */
export async function reach(page: Page, target: Locator): Promise<void> {
  await target.first().waitFor()
  for (let presses = 0; presses < 200; presses++) {
    if (await target.first().evaluate((element) => element === document.activeElement)) return
    await page.keyboard.press('Tab')
  }
  throw new Error(`Tab does not reach ${String(target)}`)
}

/** Until React has taken over what the server rendered. A click before that is lost. */
async function untilItWorks(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const main = document.querySelector('main')
    return !main || Object.keys(main).some((key) => key.startsWith('__reactFiber'))
  })
}

/** axe finds no fault on the page, as it is now. */
export async function assertAccessible(page: Page, name: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze()
  assert.deepEqual(violations.map(({ id, nodes }) => `${name}: ${id} ${nodes[0]?.html}`), [])
}

/**
 * Keep a picture where SOUNDSCAPE_PICTURES names a folder. Chromium's only: the journeys of Firefox would write over them,
 * with its scroll bar as a black edge.
 */
export async function picture(page: Page, name: string, fullPage = true): Promise<void> {
  const folder = process.env.SOUNDSCAPE_PICTURES
  if (!folder || IN_FIREFOX) return
  await mkdir(folder, { recursive: true })
  const path = `${folder}/${name}.png`
  const screen = page.viewportSize()
  if (!fullPage || !screen) return void (await page.screenshot({ path }))
  // In a picture of the whole page, what is fixed at the bottom of the screen would lie in the middle.
  await page.evaluate(() => scrollTo(0, 0))
  const height = await page.evaluate(() => document.documentElement.scrollHeight)
  await page.setViewportSize({ ...screen, height: Math.max(screen.height, height) })
  await page.screenshot({ path })
  await page.setViewportSize(screen)
}
