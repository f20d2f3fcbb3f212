/** Journey 6: playlists by drag and by keyboard, likes, listening history, duplicates with both waveforms, the bell. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertAccessible, picture, useBrowser } from '../browser.ts'
import { eventually, giveRecording, makePerson, operator, signIn, type Person } from '../people.ts'
import { chord, clicks, melody, writeSound } from '../sounds.ts'

let person: Person
const session = useBrowser(async ({ page, folder }) => {
  person = await makePerson('Keeper')
  await giveRecording(person, await writeSound(folder, 'One.wav', 6, clicks(100)))
  await giveRecording(person, await writeSound(folder, 'Two.wav', 4, chord(200)))
  await giveRecording(person, await writeSound(folder, 'Three.wav', 4, chord(330)))
  const tune = melody(7)
  await giveRecording(person, await writeSound(folder, 'Whole tune.wav', 40, tune))
  // Its seconds from 12 to 32.
  await giveRecording(person, await writeSound(folder, 'Part of the tune.wav', 20, (t) => tune(t + 12)))
  await signIn(page, person)
})

test('a playlist is made, filled, and ordered by drag and by keyboard', async () => {
  const { page } = session
  await page.goto('/playlists')
  await page.getByText('No playlists yet').waitFor()
  await page.getByLabel('Title of a new playlist').fill('Evening')
  await page.keyboard.press('Enter')
  await page.getByRole('link', { name: /^Evening Private/ }).waitFor()
  for (const title of ['One', 'Two', 'Three']) {
    await page.goto('/library')
    await page.getByRole('link', { name: title, exact: true }).click()
    await page.getByLabel('Add to a playlist').click()
    await page.getByRole('button', { name: 'Evening', exact: true }).click()
    await page.getByText('Added to the playlist.').waitFor()
  }
  await page.goto('/playlists')
  await page.getByRole('link', { name: /^Evening Private/ }).click()
  const rows = page.getByRole('list', { name: 'Recordings' }).getByRole('listitem')
  const order = async (...titles: string[]) => {
    for (const [i, title] of titles.entries()) await rows.nth(i).getByRole('link', { name: title, exact: true }).waitFor()
  }
  await order('One', 'Two', 'Three')
  await page.getByRole('button', { name: /^Move Three/ }).press('ArrowUp')
  await order('One', 'Three', 'Two')
  await page.reload()
  await order('One', 'Three', 'Two')
  await rows.nth(2).dragTo(rows.nth(0))
  await order('Two', 'One', 'Three')
  await page.reload()
  await order('Two', 'One', 'Three')
  await picture(page, 'playlist')
  await assertAccessible(page, 'playlist')
  await page.getByRole('button', { name: 'Remove Three' }).press('Enter')
  await rows.nth(2).waitFor({ state: 'detached' })
})

test('a playlist of more than a thousand is shown to its end', async () => {
  const { page } = session
  const { data: one } = await operator.from('audio_files').select('id').eq('user_id', person.id).eq('title', 'One').single()
  const { data: long } = await operator
    .from('playlists').insert({ title: 'Long', user_id: person.id }).select('id').single()
  const items = Array.from({ length: 1_050 }, () => ({ playlist_id: long!.id, audio_id: one!.id }))
  const { error } = await operator.from('playlist_items').insert(items)
  assert.equal(error?.message, undefined)
  await page.goto(`/playlists/${long!.id}`)
  const rows = page.getByRole('list', { name: 'Recordings' }).getByRole('listitem')
  await rows.nth(items.length - 1).waitFor()
  assert.equal(await rows.count(), items.length)
})

test('likes and what was heard are listed, and the history can be erased', async () => {
  const { page } = session
  await page.goto('/library')
  await page.getByRole('link', { name: 'One', exact: true }).click()
  await page.getByRole('button', { name: 'Like', exact: true }).click()
  await page.getByText('Liked.').waitFor()
  await page.getByRole('button', { name: 'Play', exact: true }).click()
  // To the end: that is an event of its own kind.
  await eventually(async () => {
    const { data } = await operator.from('listening_events').select('completed').eq('user_id', person.id)
    return data?.some(({ completed }) => completed) || undefined
  })
  await page.goto('/likes')
  await page.getByRole('list', { name: 'Liked recordings' }).getByRole('link', { name: 'One', exact: true }).waitFor()
  await assertAccessible(page, 'likes')
  await page.goto('/history')
  await page.getByText(/to the end$/).waitFor()
  await picture(page, 'history')
  await assertAccessible(page, 'history')
  page.once('dialog', (dialog) => void dialog.accept())
  await page.getByRole('button', { name: 'Delete the history' }).click()
  await page.getByText('You have not listened to anything yet.').waitFor()
})

test('duplicates lie over one another at the claimed offset, and can be dismissed', async () => {
  const { page } = session
  // The comparison follows the analysis.
  await eventually(async () => {
    const { data: own } = await operator.from('audio_files').select('id').eq('user_id', person.id)
    const { data } = await operator.from('audio_matches').select('id').in('audio_id', own!.map(({ id }) => id))
    return data?.length || undefined
  })
  await page.goto('/duplicates')
  const claim = page.getByRole('article', { name: /tune and/ })
  await claim.waitFor()
  const parts = claim.locator('.part')
  const [first, second] = [await parts.nth(0).boundingBox(), await parts.nth(1).boundingBox()]
  const [part, whole] = first!.width < second!.width ? [first!, second!] : [second!, first!]
  // Twenty seconds of forty, from the twelfth on.
  assert.ok(Math.abs(part.width / whole.width - 0.5) < 0.02, `${part.width} of ${whole.width} pixels`)
  assert.ok(Math.abs((part.x - whole.x) / whole.width - 0.3) < 0.02, `${part.x - whole.x} of ${whole.width} pixels`)
  const shared = (await claim.locator('.shared').first().boundingBox())!
  assert.ok(Math.abs(shared.x - part.x) / part.width < 0.1 && shared.width / part.width > 0.8, 'what they share is marked')
  await picture(page, 'duplicates')
  await assertAccessible(page, 'duplicates')
  await claim.getByRole('button', { name: 'Dismiss' }).click()
  await claim.waitFor({ state: 'detached' })
  await page.getByText('No duplicates').waitFor()
})

test('the bell tells of analyses, live, and opening it reads them', async () => {
  const { page, folder } = session
  await page.goto('/library')
  await page.getByLabel(/^Notifications, 5 unread/).waitFor()
  await giveRecording(person, await writeSound(folder, 'Late.wav', 3, chord(500)))
  await page.getByLabel(/^Notifications, 6 unread/).click()
  await page.getByText('“Late” is analysed.').waitFor()
  await picture(page, 'bell', false)
  await assertAccessible(page, 'bell')
  await page.getByLabel('Notifications', { exact: true }).waitFor()
  await page.keyboard.press('Escape')
  await page.getByText('“Late” is analysed.').waitFor({ state: 'hidden' })
})
