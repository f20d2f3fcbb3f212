/** Sounds to upload: WAV files that the tests make themselves. */
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const RATE = 44_100

/** A folder with a chord, a beat of clicks, and a text that is no sound. */
export async function makeSounds(): Promise<{ folder: string; chord: string; clicks: string; text: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'soundscape-web-'))
  const chord = join(folder, 'Chord in A.wav')
  const clicks = join(folder, 'Clicks at 120.wav')
  const text = join(folder, 'notes.wav')
  await writeFile(chord, wav(8, (t) => 0.2 * [220, 277.18, 329.63].reduce((sum, f) => sum + Math.sin(2 * Math.PI * f * t), 0)))
  await writeFile(clicks, wav(12, (t) => (t % 0.5 < 0.02 ? 0.8 * Math.sin(2 * Math.PI * 1800 * t) * Math.exp(-(t % 0.5) * 200) : 0)))
  await writeFile(text, 'These are notes about a sound, and no sound.\n')
  return { folder, chord, clicks, text }
}

function wav(seconds: number, sample: (t: number) => number): Buffer {
  const count = seconds * RATE
  const file = Buffer.alloc(44 + 2 * count)
  file.write('RIFF', 0)
  file.writeUInt32LE(36 + 2 * count, 4)
  file.write('WAVEfmt ', 8)
  file.writeUInt32LE(16, 16)
  file.writeUInt16LE(1, 20)
  file.writeUInt16LE(1, 22)
  file.writeUInt32LE(RATE, 24)
  file.writeUInt32LE(2 * RATE, 28)
  file.writeUInt16LE(2, 32)
  file.writeUInt16LE(16, 34)
  file.write('data', 36)
  file.writeUInt32LE(2 * count, 40)
  for (let i = 0; i < count; i++) file.writeInt16LE(Math.round(32_000 * sample(i / RATE)), 44 + 2 * i)
  return file
}
