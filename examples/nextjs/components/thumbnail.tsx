/** A recording as a row of bars. `peaks` are from 0 to 255, as `audio_files.peaks` has them. */
export function Thumbnail({ peaks, title }: { peaks: readonly number[]; title: string }) {
  const d = peaks
    .map((peak, i) => {
      const half = Math.max(0.5, (peak / 255) * 20)
      return `M${i * 3 + 1.5} ${(22 - half).toFixed(1)}V${(22 + half).toFixed(1)}`
    })
    .join('')
  return (
    <svg
      className="wave" viewBox={`0 0 ${peaks.length * 3} 44`} preserveAspectRatio="none"
      role="img" aria-label={`Waveform of ${title}`}
    >
      <path d={d} vectorEffect="non-scaling-stroke" />
    </svg>
  )
}
