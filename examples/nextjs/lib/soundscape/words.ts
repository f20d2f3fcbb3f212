/** Numbers in words. What was not measured is a dash, never a zero. */
import type { Recording } from './database'

export const NOT_KNOWN = '–'

export function duration(seconds: number | null | undefined): string {
  if (seconds == null) return NOT_KNOWN
  const whole = Math.round(seconds)
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60]
  const two = (value: number) => String(value).padStart(2, '0')
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

export function loudness(lufs: number | null | undefined): string {
  return level(lufs, 'LUFS')
}

/** A level with a real minus sign: a hyphen breaks at the end of a line. */
export function level(value: number | null | undefined, unit: string): string {
  return value == null ? NOT_KNOWN : `${value.toFixed(1).replace('-', '−')} ${unit}`
}

export function tempo(bpm: number | null | undefined): string {
  return bpm == null ? NOT_KNOWN : `${Math.round(bpm)} BPM`
}

export function key(name: string | null | undefined, mode: string | null | undefined): string {
  return name == null ? NOT_KNOWN : `${name} ${mode ?? ''}`.trim()
}

export function bytes(count: number | null | undefined): string {
  if (count == null) return NOT_KNOWN
  const units = ['B', 'kB', 'MB', 'GB']
  let value = count
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}

export function statusOf(recording: Pick<Recording, 'status' | 'error_message'>): string {
  switch (recording.status) {
    case 'awaiting_upload':
      return 'Waiting for its file'
    case 'queued':
      return 'Waiting to be analysed'
    case 'analyzing':
      return 'Being analysed'
    case 'ready':
      return 'Ready'
    default:
      return recording.error_message ?? 'Could not be analysed'
  }
}
