/** Sounds to upload: WAV files that the tests make themselves. */
import { mkdtemp, open, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const RATE = 44_100

type Signal = (t: number) => number

export const makeFolder = () => mkdtemp(join(tmpdir(), 'soundscape-web-'))

/** A chord: tonal, without a beat. */
export const chord = (root: number): Signal => (t) =>
  0.2 * [1, 1.2599, 1.4983].reduce((sum, ratio) => sum + Math.sin(2 * Math.PI * root * ratio * t), 0)

/** A beat of clicks. */
export const clicks = (bpm: number): Signal => (t) => {
  const since = t % (60 / bpm)
  return since < 0.02 ? 0.8 * Math.sin(2 * Math.PI * 1800 * t) * Math.exp(-since * 200) : 0
}

/** Three voices with overtones, in notes that follow no pattern: rich enough for a fingerprint, as music is. */
export const melody = (seed: number): Signal => {
  const voices = [5, 3.1, 1.9].map((notesPerS, voice) => ({
    notesPerS,
    notes: Array.from({ length: 400 }, (_, i) => 110 * 2 ** (Math.floor(random(seed * 1000 + voice * 97 + i) * 30) / 12)),
  }))
  return (t) => {
    let sum = 0
    for (const { notesPerS, notes } of voices) {
      const place = t * notesPerS
      const fade = Math.exp(-3 * (place % 1))
      const turn = 2 * Math.PI * notes[Math.floor(place) % notes.length]! * t
      for (let overtone = 1; overtone <= 5; overtone++) sum += (fade / overtone) * Math.sin(overtone * turn)
    }
    return 0.14 * sum
  }
}

function random(seed: number): number {
  const x = Math.sin(seed * 12.9898) * 43758.5453
  return x - Math.floor(x)
}

/** Write a mono WAV file of 16 bits; returns its path. */
export async function writeSound(folder: string, name: string, seconds: number, signal: Signal): Promise<string> {
  const path = join(folder, name)
  const count = Math.round(seconds * RATE)
  const samples = Buffer.alloc(2 * count)
  for (let i = 0; i < count; i++) samples.writeInt16LE(Math.round(32_000 * Math.max(-1, Math.min(1, signal(i / RATE)))), 2 * i)
  await writeFile(path, Buffer.concat([header(count * 2, RATE, 1, 16), samples]))
  return path
}

/** A WAV file of hours: 8 bits at 8 kHz, a short burst every ten seconds, at least once in the hour. */
export async function writeLongSound(folder: string, name: string, hours: number): Promise<string> {
  const rate = 8000
  const path = join(folder, name)
  const file = await open(path, 'w')
  await file.write(header(hours * 3600 * rate, rate, 1, 8))
  const minute = Buffer.alloc(60 * rate, 128)
  for (let burst = 0; burst < 6; burst++) {
    for (let i = 0; i < rate / 2; i++) {
      minute[burst * 10 * rate + i] = 128 + Math.round(100 * Math.exp((-6 * i) / rate) * Math.sin((2 * Math.PI * (300 + 80 * burst) * i) / rate))
    }
  }
  for (let i = 0; i < hours * 60; i++) await file.write(minute)
  await file.close()
  return path
}

/** A WAV file of this many megabytes: 24 bits, stereo, at 96 kHz. */
export async function writeLargeSound(folder: string, name: string, megabytes: number): Promise<string> {
  const path = join(folder, name)
  const second = Buffer.alloc(96_000 * 6)
  for (let i = 0; i < 96_000; i++) {
    const value = Math.round(2_000_000 * Math.sin((2 * Math.PI * 440 * i) / 96_000))
    second.writeIntLE(value, i * 6, 3)
    second.writeIntLE(value, i * 6 + 3, 3)
  }
  const seconds = Math.ceil((megabytes * 1_000_000) / second.length)
  const file = await open(path, 'w')
  await file.write(header(seconds * second.length, 96_000, 2, 24))
  for (let i = 0; i < seconds; i++) await file.write(second)
  await file.close()
  return path
}

function header(dataBytes: number, rate: number, channels: number, bits: number): Buffer {
  const made = Buffer.alloc(44)
  const frame = (channels * bits) / 8
  made.write('RIFF', 0)
  made.writeUInt32LE(36 + dataBytes, 4)
  made.write('WAVEfmt ', 8)
  made.writeUInt32LE(16, 16)
  made.writeUInt16LE(1, 20)
  made.writeUInt16LE(channels, 22)
  made.writeUInt32LE(rate, 24)
  made.writeUInt32LE(rate * frame, 28)
  made.writeUInt16LE(frame, 32)
  made.writeUInt16LE(bits, 34)
  made.write('data', 36)
  made.writeUInt32LE(dataBytes, 40)
  return made
}
