/** Claims that two recordings share sound. */
import type { Client, Match, Recording } from './database'

export interface Evidence {
  /** Where `audio_id` begins within `matched_audio_id`. */
  offset_s?: number
  /** The shared part, by the clock of `matched_audio_id`. */
  span_s?: [number, number]
  share?: number
  speed?: number
}

export type Side = Pick<Recording, 'id' | 'title' | 'duration' | 'peaks' | 'user_id'>

export interface FoundMatch {
  match: Match
  evidence: Evidence
  recording: Side
  matched: Side
}

const SIDE = 'id, title, duration, peaks, user_id'

/** The claims about any of these recordings, of which the caller sees both sides. */
export async function readMatches(supabase: Client, ids: readonly string[]): Promise<FoundMatch[]> {
  if (ids.length === 0) return []
  const among = `(${ids.join(',')})`
  const { data, error } = await supabase
    .from('audio_matches')
    .select(`*, recording:audio_files!audio_matches_audio_id_fkey(${SIDE}), matched:audio_files!audio_matches_matched_audio_id_fkey(${SIDE})`)
    .or(`audio_id.in.${among},matched_audio_id.in.${among}`)
    .order('confidence', { ascending: false })
  if (error) throw error
  return data.flatMap(({ recording, matched, ...match }) =>
    recording && matched ? [{ match, evidence: match.evidence as unknown as Evidence, recording, matched }] : [],
  )
}

const KINDS: Record<string, string> = {
  identical: 'The same sound, sample for sample',
  same_recording: 'The same recording',
  contains: 'One is in the other',
  shared_passage: 'They share a passage',
}

export function kindInWords(kind: string): string {
  return KINDS[kind] ?? kind
}

/** Both recordings on one time line: where each begins and ends, and what they share. Seconds. */
export function align({ evidence, recording, matched }: FoundMatch) {
  const offset = evidence.offset_s ?? 0
  const speed = evidence.speed || 1
  const own = { startS: offset, endS: offset + (recording.duration ?? 0) / speed }
  const other = { startS: 0, endS: matched.duration ?? 0 }
  const [from, to] = evidence.span_s ?? [own.startS, own.endS]
  return {
    own,
    other,
    shared: { startS: from, endS: to },
    startS: Math.min(own.startS, other.startS),
    endS: Math.max(own.endS, other.endS),
  }
}
