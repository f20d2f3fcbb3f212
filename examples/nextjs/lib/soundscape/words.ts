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

/** "52.516° N, 13.378° E", with as many digits as the precision allows. */
export function place(latitude: number, longitude: number, precisionM: number | null): string {
  const digits = Math.max(0, Math.min(5, Math.round(5 - Math.log10(precisionM ?? 1))))
  const of = (value: number, [positive, negative]: [string, string]) =>
    `${Math.abs(value).toFixed(digits)}° ${value < 0 ? negative : positive}`
  return `${of(latitude, ['N', 'S'])}, ${of(longitude, ['E', 'W'])}`
}

export function distance(metres: number): string {
  return metres < 1000 ? `${Math.round(metres)} m` : `${(metres / 1000).toFixed(metres < 10_000 ? 1 : 0)} km`
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

/** A notification's kind as a sentence. */
export function sentenceOf(kind: string, title: string): string {
  const named = title ? `“${title}”` : 'A recording'
  switch (kind) {
    case 'recording_ready':
      return `${named} is analysed.`
    case 'recording_failed':
      return `${named} could not be analysed.`
    case 'recording_rejected':
      return `${named} was refused.`
    case 'image_refused':
      return 'Your picture was deleted.'
    case 'recording_matched':
      return `${named} sounds the same as somebody else’s recording.`
    case 'recording_liked':
      return `Somebody liked ${title ? named : 'your recording'}.`
    case 'recording_collected':
      return `Somebody added ${title ? named : 'your recording'} to a public playlist.`
    case 'recording_hidden':
      return `A moderator hid ${title ? named : 'your recording'}.`
    case 'recording_restored':
      return `A moderator made ${title ? named : 'your recording'} visible again.`
    case 'report_resolved':
      return `A moderator decided on your report${title ? ` of ${named}` : ''}.`
    case 'export_ready':
      return 'Your export can be downloaded.'
    case 'export_failed':
      return 'Your export could not be made.'
    case 'quota_nearly_full':
      return 'Your recordings take nearly all the space you may use.'
    default:
      return `${named}: ${kind.replaceAll('_', ' ')}.`
  }
}

/** Why a query failed. Browsers say "Failed to fetch" where nobody answers. */
export function problemOf(error: Error): string {
  return /failed to fetch|networkerror|load failed/i.test(error.message)
    ? 'The project does not answer. Perhaps you are offline.'
    : error.message
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [['day', 86_400], ['hour', 3600], ['minute', 60]]

/** "3 hours ago". */
export function ago(time: string): string {
  const seconds = (Date.now() - Date.parse(time)) / 1000
  const [unit, size] = STEPS.find(([, size]) => seconds >= size) ?? ['second', 1]
  return new Intl.RelativeTimeFormat('en', { numeric: 'auto' }).format(-Math.floor(seconds / size), unit)
}

/** The loudness in words, by what people play it beside: streaming aims at −14 LUFS, broadcasting at −23. */
export function loudnessInWords(lufs: number | null | undefined): string {
  if (lufs == null) return 'No loudness: too short, or silent.'
  if (lufs > -9) return 'Very loud, as a mastered pop song.'
  if (lufs > -16) return 'Loud, as music on streaming services.'
  if (lufs > -27) return 'Moderate, as speech on the radio.'
  return 'Quiet. Turn it up to hear it well.'
}

export function tempoInWords(bpm: number | null | undefined): string {
  if (bpm == null) return 'No steady beat was found.'
  return bpm < 76 ? 'Slow' : bpm < 108 ? 'Walking pace' : bpm < 140 ? 'Lively' : 'Fast'
}

export function keyInWords(name: string | null | undefined, confidence: number | null | undefined): string {
  if (name == null) return 'No key was found.'
  return confidence == null ? '' : confidence > 0.8 ? 'Clear' : confidence > 0.5 ? 'Likely' : 'A guess'
}

/** A number of things: 1 play, 2 plays. */
export const counted = (count: number, noun: string) => `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
