/**
 * Print Lighthouse's scores of the library and a recording. Run by scripts/test-web --lighthouse, on a production build.
 * What follows on the command line is Lighthouse's, such as --throttling.cpuSlowdownMultiplier=1.
 */
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { chromium } from 'playwright-core'
import { SITE } from './browser.ts'
import { giveRecording, makePerson, signIn } from './people.ts'
import { melody, writeSound } from './sounds.ts'

// The npm that came with this Node.
const NPM = join(dirname(process.execPath), '../lib/node_modules/npm/bin/npm-cli.js')
const VERSION = '13.5.0'
/** Lighthouse's index of the machine's speed. It slows a fast one down fourfold to be a phone; a busy one is a phone already. */
const FAST_INDEX = 1000
const WANTED = { accessibility: 0.95, 'best-practices': 0.95, performance: 0.9 }

const folder = await mkdtemp(join(tmpdir(), 'soundscape-lighthouse-'))
const person = await makePerson('Lighthouse')
const ids: string[] = []
for (let i = 0; i < 8; i++) ids.push(await giveRecording(person, await writeSound(folder, `Tune ${i}.wav`, 20, melody(20 + i)), { isPublic: true }))
// A profile that is signed in: cookies that only the requests had would leave the page's own client signed out.
const profile = join(folder, 'profile')
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.SOUNDSCAPE_CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'], baseURL: SITE,
})
await signIn(await context.newPage(), person)
await context.close()

let isGood = true
let isSlow = false
for (const path of ['/library', `/recordings/${ids[0]}`]) {
  for (const preset of ['desktop', 'mobile']) {
    const output = join(folder, 'report.json')
    const { status, stderr } = spawnSync(
      process.execPath,
      [
        NPM, 'exec', '--yes', '--', `lighthouse@${VERSION}`, SITE + path, '--disable-storage-reset',
        '--output=json', `--output-path=${output}`, `--only-categories=${Object.keys(WANTED).join(',')}`, '--quiet',
        `--chrome-flags=--headless --no-sandbox --password-store=basic --user-data-dir=${profile}`, ...(preset === 'desktop' ? ['--preset=desktop'] : []), ...process.argv.slice(2),
      ],
      { env: { ...process.env, CHROME_PATH: process.env.SOUNDSCAPE_CHROMIUM }, encoding: 'utf8' },
    )
    if (status !== 0) throw new Error(stderr)
    const { categories, audits, environment } = JSON.parse(await readFile(output, 'utf8')) as {
      categories: Record<string, { score: number; auditRefs: { id: string }[] }>
      audits: Record<string, { score: number | null; title: string; displayValue?: string }>
      environment: { benchmarkIndex: number }
    }
    const scores = Object.entries(WANTED).map(([name, wanted]) => {
      const score = categories[name]!.score
      isGood &&= score >= wanted
      return `${name} ${Math.round(score * 100)}`
    })
    const times = ['largest-contentful-paint', 'total-blocking-time', 'cumulative-layout-shift'].map(
      (name) => `${audits[name]!.title} ${audits[name]!.displayValue}`,
    )
    console.log(`${path.replace(/[0-9a-f-]{36}/, '{id}')} (${preset}): ${scores.join(', ')}; ${times.join(', ')}; index ${Math.round(environment.benchmarkIndex)}`)
    isSlow ||= environment.benchmarkIndex < FAST_INDEX
    for (const name of ['accessibility', 'best-practices']) {
      for (const { id } of categories[name]!.auditRefs) {
        if (audits[id]?.score === 0) console.log(`  ${name}: ${audits[id].title}`)
      }
    }
  }
}
if (isSlow) {
  console.log(`The machine is slow or busy: its index is below ${FAST_INDEX}, and blocking times are exaggerated. Measure again when it is`)
  console.log('at rest, or without slowing it further: scripts/test-web --lighthouse --throttling.cpuSlowdownMultiplier=1')
}
process.exitCode = isGood ? 0 : 1
