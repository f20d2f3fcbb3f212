import type { DayCounts } from '@/lib/soundscape/statistics'

const HEIGHT = 160
const LABELS = 18

/** Plays by day as bars. The table beside it says the same in numbers, so the picture has only a name. */
export function PlaysChart({ days }: { days: readonly DayCounts[] }) {
  const most = Math.max(1, ...days.map(({ plays }) => plays))
  const step = 1000 / days.length
  return (
    <svg
      className="chart" viewBox={`0 0 1000 ${HEIGHT + LABELS}`} role="img" preserveAspectRatio="none"
      aria-label={`Plays by day, at most ${most}. The table has the numbers.`}
    >
      <line x1="0" x2="1000" y1={HEIGHT} y2={HEIGHT} className="axis" />
      {days.map(({ day, plays }, place) => {
        const height = (plays / most) * (HEIGHT - 8)
        return (
          <rect key={day} x={place * step + step * 0.1} width={step * 0.8} y={HEIGHT - height} height={height}>
            <title>{`${day}: ${plays}`}</title>
          </rect>
        )
      })}
    </svg>
  )
}

/** Shares as bars in a table: the numbers and the picture are one. */
export function SharesTable({ caption, rows }: { caption: string; rows: readonly [string, number][] }) {
  const sum = rows.reduce((total, [, count]) => total + count, 0)
  return (
    <table className="table">
      <caption>{caption}</caption>
      <thead>
        <tr>
          <th scope="col">{caption}</th>
          <th scope="col">Plays</th>
          <th scope="col">Share</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, count]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{count}</td>
            <td>
              <svg className="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
                <rect width={sum ? (100 * count) / sum : 0} height="8" />
              </svg>
              <span className="small soft">{sum ? Math.round((100 * count) / sum) : 0} %</span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
