import type { Source } from '@/lib/soundscape/database'

/** How the recording may be used, whom to name, and what it was made from. */
export function Licensing({ title, licence, creditedTo, sources }: {
  title: string
  licence: { name: string; url: string | null } | null
  creditedTo: string
  sources: Source[]
}) {
  return (
    <>
      <h2>Licence</h2>
      <div className="card stack">
        <div>
          {licence?.url ? (
            <a href={licence.url} rel="license noopener">{licence.name}</a>
          ) : (
            <strong>{licence?.name ?? 'No licence given'}</strong>
          )}
          <div className="small soft" dir="auto">
            Credit: “{title}” by {creditedTo}{licence && `, ${licence.name}`}
          </div>
        </div>
        {sources.length > 0 && (
          <div>
            <h3>Made from</h3>
            <ul aria-label="Sources" style={{ margin: 0 }}>
              {sources.map((source, place) => (
                <li key={place} dir="auto">
                  {isWeb(source.url) ? <a href={source.url} rel="noopener nofollow">{source.title}</a> : source.title}
                  {source.attribution && <> by {source.attribution}</>}
                  {source.license && <>, {source.license}</>}
                </li>
              ))}
            </ul>
          </div>
        )}
      </div>
    </>
  )
}

/** Others wrote the address: a link may lead to a page, never to a script. */
function isWeb(url: string | undefined): url is string {
  return /^https?:\/\//i.test(url ?? '')
}
