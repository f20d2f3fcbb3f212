/** A creator's figures: days without gaps, and the details that the database publishes. */
import type { Database } from './database'

export type Day = Database['public']['Functions']['my_audio_stats']['Returns'][number]

export const SOURCES = {
  from_search: 'Search',
  from_similar: 'Similar recordings',
  from_recommended: 'Recommendations',
  from_radio: 'Radio',
  from_playlist: 'Playlists',
  from_embed: 'Embedded players',
  from_elsewhere: 'Elsewhere',
} as const

export const QUARTERS = {
  heard_quarter_1: 'Up to a quarter',
  heard_quarter_2: 'Up to half',
  heard_quarter_3: 'Up to three quarters',
  heard_quarter_4: 'More than three quarters',
} as const

export interface DayCounts {
  day: string
  plays: number
  listeners: number
  downloads: number
}

const DAY_MS = 86_400_000

/** The days of UTC from `dayCount - 1` days ago until today, as the database names them. */
export function lastDays(dayCount: number, now = Date.now()): string[] {
  return Array.from({ length: dayCount }, (_, place) =>
    new Date(now - (dayCount - 1 - place) * DAY_MS).toISOString().slice(0, 10))
}

/** Every day with its counts. A day without a row had no plays. */
export function fillDays(days: readonly string[], rows: readonly Day[]): DayCounts[] {
  const byDay = new Map(rows.map((row) => [row.day, row]))
  return days.map((day) => {
    const row = byDay.get(day)
    return { day, plays: row?.plays ?? 0, listeners: row?.listeners ?? 0, downloads: row?.downloads ?? 0 }
  })
}

/** The sum of a column over the days; null where no day tells. */
export function sumOf(rows: readonly Day[], column: keyof typeof SOURCES | keyof typeof QUARTERS): number | null {
  const told = rows.map((row) => row[column] as number | null).filter((count) => count !== null)
  return told.length === 0 ? null : told.reduce((sum, count) => sum + count, 0)
}
