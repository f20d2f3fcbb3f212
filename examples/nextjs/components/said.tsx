export interface Saying {
  text: string
  isBad?: boolean
}

/** What became of something that the reader asked for. */
export function Said({ saying }: { saying: Saying | null }) {
  return (
    <div role={saying?.isBad ? 'alert' : 'status'}>
      {saying && (
        <p className={`notice ${saying.isBad ? 'bad' : ''}`} style={{ margin: 0 }}>
          {saying.text}
        </p>
      )}
    </div>
  )
}
