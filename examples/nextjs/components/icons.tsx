/** Icons, drawn with strokes in the text's own colour. They say nothing by themselves: labels do. */
const PATHS = {
  library: 'M4 5v14M9 5v14M14 5.5l5 13',
  search: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM16.5 16.5 21 21',
  forYou: 'm12 4 2.2 5.2L20 10l-4.3 3.8L17 20l-5-3-5 3 1.3-6.2L4 10l5.8-.8Z',
  playlists: 'M4 7h11M4 12h11M4 17h7M18 17V9l3 1M18 17a2 2 0 1 1-4 0 2 2 0 0 1 4 0Z',
  live: 'M3 12h3l3-8 5 16 3-8h4',
  identify: 'M12 4a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V7a3 3 0 0 0-3-3ZM5 12a7 7 0 0 0 14 0M12 19v3',
  bell: 'M6 10a6 6 0 0 1 12 0c0 5 2 6 2 7H4c0-1 2-2 2-7ZM10 20a2 2 0 0 0 4 0',
  play: 'M7 5v14l12-7Z',
  pause: 'M8 5v14M16 5v14',
  next: 'M6 5v14l9-7ZM18 5v14',
  previous: 'M18 5v14l-9-7ZM6 5v14',
  heart: 'M12 20s-8-5-8-11a4.5 4.5 0 0 1 8-2.8A4.5 4.5 0 0 1 20 9c0 6-8 11-8 11Z',
  close: 'M6 6l12 12M18 6 6 18',
  up: 'm6 14 6-6 6 6',
  down: 'm6 10 6 6 6-6',
  left: 'm14 6-6 6 6 6',
  right: 'm10 6 6 6-6 6',
  handle: 'M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01',
  zoomIn: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM16.5 16.5 21 21M8 11h6M11 8v6',
  zoomOut: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM16.5 16.5 21 21M8 11h6',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  share: 'M12 15V4M8 8l4-4 4 4M5 12v8h14v-8',
  radio: 'M12 12h.01M8.5 15.5a5 5 0 0 1 0-7M15.5 8.5a5 5 0 0 1 0 7M5.6 18.4a9 9 0 0 1 0-12.8M18.4 5.6a9 9 0 0 1 0 12.8',
  wave: 'M3 12h2M7 8v8M11 4v16M15 7v10M19 10v4M22 12h-1',
} as const

export type IconName = keyof typeof PATHS

export function Icon({ name }: { name: IconName }) {
  const isSolid = name === 'play'
  return (
    <svg
      className="icon" viewBox="0 0 24 24" aria-hidden="true" fill={isSolid ? 'currentColor' : 'none'}
      stroke="currentColor" strokeWidth={name === 'handle' ? 3 : 2} strokeLinecap="round" strokeLinejoin="round"
    >
      <path d={PATHS[name]} />
    </svg>
  )
}
