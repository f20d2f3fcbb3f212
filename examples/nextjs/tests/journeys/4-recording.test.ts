/** Journey 4: a recording: six hours to zoom into, what was measured and what not, edit, publish, share, download, delete. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertAccessible, IN_FIREFOX, PATIENCE_MS, picture, useBrowser, visitor } from '../browser.ts'
import { findOrGive, giveRecording, makePerson, operator, settled, signIn, type Person } from '../people.ts'
import { chord, clicks, writeLongSound, writeSound } from '../sounds.ts'

let person: Person
let isOwner = false
const ids = { clicks: '', chord: '', near: '', long: '' }
const session = useBrowser(async ({ page, folder }) => {
  person = await makePerson('Listener')
  // Long enough to play on, however slow the machine is.
  ids.clicks = await giveRecording(person, await writeSound(folder, 'Clicks at 120.wav', 120, clicks(120)))
  ids.chord = await giveRecording(person, await writeSound(folder, 'Chord in A.wav', 8, chord(220)))
  ids.near = await giveRecording(person, await writeSound(folder, 'Next street.wav', 3, chord(330)))
  // Last, because it keeps the worker busy. The tests before its own need not wait for it. Once is enough for two browsers.
  ids.long = await findOrGive('Six hours', async () => {
    isOwner = true
    return giveRecording(person, await writeLongSound(folder, 'Six hours.wav', 6), { isReady: false, isPublic: true })
  })
  await signIn(page, person)
})

test('it plays, seeks by keyboard, and shows its beats', async () => {
  const { page } = session
  await page.goto(`/recordings/${ids.clicks}`)
  const player = page.getByRole('region', { name: 'Player of Clicks at 120' })
  await player.getByTestId('waveform').waitFor()
  await page.getByAltText('Spectrogram of Clicks at 120').first().waitFor({ state: 'attached' })
  await page.locator('.figures').getByText('120 BPM').waitFor()
  await player.getByLabel('Beats').check()
  await page.waitForFunction(() => {
    const root = document.querySelector('[data-testid=waveform] > div')?.shadowRoot
    return (root?.querySelectorAll('[part~=marker]').length ?? 0) > 10
  })
  await picture(page, 'recording-beats')
  await player.getByRole('button', { name: 'Play' }).click()
  await player.getByText(/^[01]:(0[1-9]|[1-5]\d) \/ 2:00$/).waitFor()
  await player.getByRole('button', { name: 'Pause' }).click()
  await player.getByRole('button', { name: 'Play' }).waitFor()
  const slider = player.getByRole('slider', { name: 'Position' })
  await slider.press('Home')
  await player.getByText('0:00 / 2:00').waitFor()
  await slider.press('Shift+ArrowRight')
  await slider.press('ArrowRight')
  await player.getByText('1:05 / 2:00').waitFor()
})

test('what is not known is said', async () => {
  const { page } = session
  await page.goto(`/recordings/${ids.chord}`)
  const tempo = page.locator('.figures > div').filter({ hasText: 'Tempo' })
  await tempo.getByText('No steady beat was found.').waitFor()
  assert.match(await tempo.innerText(), /–/)
})

test('the owner edits, publishes and shares; a stranger sees it then, and hears it', async () => {
  const { page, browser, complaints } = session
  await page.goto(`/recordings/${ids.chord}`)
  const { context, page: stranger } = await visitor(browser, complaints)
  await stranger.goto(`/recordings/${ids.chord}`)
  await stranger.getByRole('heading', { name: 'Not found' }).waitFor()
  await page.getByRole('button', { name: 'Edit' }).click()
  await page.getByLabel('Title').fill('وتر في لا — A chord, 長い和音')
  await page.getByLabel('Description').fill('Three sines.\nNothing else.')
  await page.getByLabel('Tags, with commas between').fill('sine, chord')
  await page.getByLabel('Licence').selectOption('CC-BY-4.0')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('heading', { name: 'وتر في لا — A chord, 長い和音' }).waitFor()
  await page.getByRole('link', { name: /Attribution 4.0/ }).waitFor()
  await page.getByRole('button', { name: 'Publish' }).click()
  await page.getByText('It is public now.').waitFor()
  await stranger.reload()
  await stranger.getByRole('heading', { name: 'وتر في لا — A chord, 長い和音' }).waitFor()
  await stranger.getByRole('button', { name: 'Play', exact: true }).click()
  await stranger.getByText(/^0:0[1-8] \/ 0:08$/).waitFor()
  await picture(stranger, 'recording-right-to-left')
  await context.close()
})

test('what the server signed is used whatever the clock says, and signed again before it ends', async () => {
  const { browser, complaints } = session
  const { context, page } = await visitor(browser, complaints)
  let signings = 0
  page.on('request', (request) => {
    if (request.method() === 'POST' && request.url().endsWith('/object/sign/waveforms')) signings++
  })
  await page.clock.install({ time: Date.now() + 24 * 3600 * 1000 })
  await page.goto(`/recordings/${ids.chord}`)
  await page.getByTestId('waveform').waitFor()
  // The link to the picture with axes is shown on phones.
  const before = await page.locator('.spectrogram a').getAttribute('href')
  assert.equal(signings, 0)
  await page.clock.fastForward('13:00')
  await page.waitForFunction((href) => document.querySelector('.spectrogram a')?.getAttribute('href') !== href, before)
  await context.close()
})

test('a place is a point on a map that asks nobody, with what was recorded near it; sources are named', async () => {
  const { page } = session
  await operator.from('audio_files').update({ latitude: 52.53, longitude: 13.4, location_precision_m: 1000 }).eq('id', ids.near)
  await page.goto(`/recordings/${ids.clicks}`)
  await page.getByRole('button', { name: 'Edit' }).click()
  await page.getByLabel('Recorded on').fill('2026-05-01')
  await page.getByLabel('Latitude').fill('52.5163')
  await page.getByLabel('Longitude').fill('13.3777')
  await page.getByLabel('Show the place to within').selectOption('10 km')
  await page.getByLabel(/^Made from/).fill('Metronome https://example.org/metronome\nAn old clock')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Saved.').waitFor()
  const map = page.getByRole('img', { name: 'Map: 52.5° N, 13.4° E, within 10 km' })
  await map.waitFor()
  await page.waitForFunction(() => (document.querySelector('.map .land')?.getAttribute('d')?.length ?? 0) > 1000)
  await page.getByRole('list', { name: 'Recorded near here' }).getByRole('link', { name: 'Next street' }).waitFor()
  const sources = page.getByRole('list', { name: 'Sources' })
  assert.equal(await sources.getByRole('link', { name: 'Metronome' }).getAttribute('href'), 'https://example.org/metronome')
  await sources.getByText('An old clock').waitFor()
  await page.getByText('Credit: “Clicks at 120” by Listener').waitFor()
  await map.scrollIntoViewIfNeeded()
  await picture(page, 'recording-map', false)
  await assertAccessible(page, 'recording with a map')
})

test('six hours zoom down to seconds by small ranges, by keyboard alone', async () => {
  const { page } = session
  let bytes = 0
  const statuses = new Set<number>()
  page.on('response', async (response) => {
    if (!/waveform(_\d+)?\.dat/.test(response.url())) return
    statuses.add(response.status())
    bytes += Number((await response.allHeaders())['content-length'] ?? 0)
  })
  // Its owner's page changes by itself when the analysis ends.
  if (!isOwner) await settled(ids.long)
  await page.goto(`/recordings/${ids.long}`)
  const player = page.getByRole('region', { name: 'Player of Six hours' })
  await player.getByTestId('waveform').waitFor({ timeout: 3 * PATIENCE_MS })
  await player.getByText('0:00 / 6:00:00').waitFor()
  const slider = player.getByRole('slider', { name: 'Position' })
  await slider.focus()
  for (let i = 0; i < 12; i++) await page.keyboard.press('+')
  // 21,600 seconds halved twelve times.
  await player.getByText('3:00:03', { exact: true }).waitFor()
  await player.getByRole('img', { name: /^Spectrogram of Six hours from 2:59:5/ }).waitFor()
  await player.getByTestId('waveform').waitFor()
  await page.waitForFunction(() => [...document.querySelectorAll('.strip img')].some((tile) => tile.clientWidth > 0))
  await picture(page, 'recording-zoomed')
  await page.getByRole('button', { name: 'Later' }).click()
  await player.getByText('3:00:05', { exact: true }).waitFor()
  await slider.press('0')
  await player.getByText('6:00:00', { exact: true }).waitFor()
  assert.deepEqual([...statuses].filter((status) => status !== 206), [])
  assert.ok(bytes > 0 && bytes < 14 * 80_000, `${bytes} bytes of waveform were fetched`)
  await picture(page, 'recording-six-hours')
})

test('it downloads under its title, and is deleted', async () => {
  const { page } = session
  await page.goto(`/recordings/${ids.clicks}`)
  if (!IN_FIREFOX) {
    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Download' }).click()
    assert.equal((await download).suggestedFilename(), 'Clicks at 120.wav')
  }
  await assertAccessible(page, 'recording')
  page.once('dialog', (dialog) => void dialog.accept())
  await page.getByRole('button', { name: 'Delete' }).click()
  await page.waitForURL('**/library')
  await page.goto(`/recordings/${ids.clicks}`)
  await page.getByRole('heading', { name: 'Not found' }).waitFor()
})
