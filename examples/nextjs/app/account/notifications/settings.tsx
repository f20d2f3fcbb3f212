'use client'

import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState, type FormEvent } from 'react'
import { useSupabase } from '@/app/providers'
import { Said, type Saying } from '@/components/said'
import {
  canPush, channelProblem, CHANNELS, findSubscription, prefer, subscribe, unsubscribe, type ChannelName, type Setting,
} from '@/lib/soundscape/notifications'

interface Quiet {
  timeZone: string
  from: string
  until: string
}

const LANGUAGES = { en: 'English', de: 'Deutsch' }

/** What the reader is told, where and when. */
export function NotificationSettings({ userId, quiet, locale }: { userId: string; quiet: Quiet; locale: string }) {
  const supabase = useSupabase()
  const queries = useQueryClient()
  const { data: channels } = useQuery({
    queryKey: ['notification-channels', userId],
    queryFn: async () => (await supabase.rpc('notification_channels').throwOnError()).data,
  })
  const key = ['notification-settings', userId]
  const { data: settings } = useQuery({
    queryKey: key,
    queryFn: async () => (await supabase.rpc('notification_settings').throwOnError()).data,
  })
  const [problem, setProblem] = useState<Saying | null>(null)
  // The query tells its readers a moment later. Until then the box would jump back.
  const [clicked, setClicked] = useState<Record<string, boolean>>({})
  const idOf = ({ kind, channel }: Setting) => `${kind} ${channel}`

  async function change(setting: Setting, enabled: boolean) {
    setClicked((all) => ({ ...all, [idOf(setting)]: enabled }))
    queries.setQueryData<Setting[]>(key, (all) =>
      all?.map((one) => (one.kind === setting.kind && one.channel === setting.channel ? { ...one, enabled } : one)))
    try {
      await prefer(supabase, userId, setting, enabled)
      setProblem(null)
    } catch (error) {
      setProblem({ text: (error as Error).message, isBad: true })
      await queries.invalidateQueries({ queryKey: key })
      setClicked({})
    }
  }

  const kinds = [...new Set(settings?.map(({ kind }) => kind))]
  const names = Object.keys(CHANNELS) as ChannelName[]
  const problems = channels?.map(channelProblem).filter((text) => text !== null) ?? []
  const push = channels?.find(({ channel }) => channel === 'push')
  return (
    <div className="stack" style={{ maxWidth: '52rem' }}>
      {push?.is_on && push.public_key && <ThisBrowser publicKey={push.public_key} />}
      <section className="card stack">
        <h2 style={{ margin: 0 }}>What you are told, and where</h2>
        {problems.map((text) => (
          <p key={text} className="notice" style={{ margin: 0 }}>{text}</p>
        ))}
        <Said saying={problem} />
        <div style={{ overflowX: 'auto' }} tabIndex={0} role="region" aria-label="Kinds of notifications">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">What happened</th>
                {names.map((name) => <th key={name} scope="col">{CHANNELS[name]}</th>)}
              </tr>
            </thead>
            <tbody>
              {kinds.map((kind) => {
                const rows = settings!.filter((setting) => setting.kind === kind)
                return (
                  <tr key={kind}>
                    <th scope="row">{rows[0]!.description}</th>
                    {names.map((name) => {
                      const setting = rows.find(({ channel }) => channel === name)
                      return (
                        <td key={name}>
                          {setting && (
                            <input
                              type="checkbox" checked={clicked[idOf(setting)] ?? setting.enabled}
                              aria-label={`${rows[0]!.description} ${CHANNELS[name]}`}
                              onChange={({ target }) => void change(setting, target.checked)}
                            />
                          )}
                        </td>
                      )
                    })}
                  </tr>
                )
              })}
            </tbody>
          </table>
        </div>
      </section>
      <When userId={userId} quiet={quiet} locale={locale} />
    </div>
  )
}

function ThisBrowser({ publicKey }: { publicKey: string }) {
  const supabase = useSupabase()
  const [isSubscribed, setSubscribed] = useState<boolean | null>(null)
  const [problem, setProblem] = useState<Saying | null>(null)
  useEffect(() => {
    if (canPush()) void findSubscription().then((found) => setSubscribed(found !== null))
  }, [])

  async function change() {
    setProblem(null)
    try {
      if (isSubscribed) await unsubscribe(supabase)
      else {
        const refused = await subscribe(supabase, publicKey)
        if (refused) return setProblem({ text: refused, isBad: true })
      }
      setSubscribed(!isSubscribed)
    } catch (error) {
      setProblem({ text: (error as Error).message, isBad: true })
    }
  }

  return (
    <section className="card stack">
      <h2 style={{ margin: 0 }}>This browser</h2>
      <p className="soft" style={{ margin: 0 }}>
        {isSubscribed ? 'It shows pushes, also when this page is closed.' : 'It can show pushes, also when this page is closed.'}
      </p>
      <Said saying={problem} />
      {isSubscribed === null ? (
        <p className="soft" style={{ margin: 0 }}>Browsers that can take pushes say so here.</p>
      ) : (
        <button style={{ justifySelf: 'start' }} onClick={() => void change()}>
          {isSubscribed ? 'No more pushes here' : 'Push to this browser'}
        </button>
      )}
    </section>
  )
}

function When({ userId, quiet, locale }: { userId: string; quiet: Quiet; locale: string }) {
  const supabase = useSupabase()
  const [said, setSaid] = useState<Saying | null>(null)
  const [zones, setZones] = useState([quiet.timeZone])
  const [zone, setZone] = useState(quiet.timeZone)
  useEffect(() => {
    const here = Intl.DateTimeFormat().resolvedOptions().timeZone
    setZones([...new Set([quiet.timeZone, here, ...Intl.supportedValuesOf('timeZone')])])
    if (quiet.timeZone === 'UTC') setZone(here)
  }, [quiet.timeZone])

  async function save(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const text = (name: string) => String(form.get(name) ?? '') || null
    if (!text('quiet_from') !== !text('quiet_until')) return setSaid({ text: 'Give both times, or neither.', isBad: true })
    const { error } = await supabase.from('user_preferences').update({
      time_zone: zone, quiet_from: text('quiet_from'), quiet_until: text('quiet_until'), locale: text('locale') ?? 'en',
    }).eq('user_id', userId)
    setSaid(error ? { text: error.message, isBad: true } : { text: 'Saved.' })
  }

  return (
    <section className="card">
      <form className="stack" onSubmit={(event) => void save(event)}>
        <h2 style={{ margin: 0 }}>Quiet hours and language</h2>
        <p className="soft" style={{ margin: 0 }}>Mails and pushes wait until the quiet hours end.</p>
        <div className="fields">
          <div>
            <label htmlFor="quiet_from">From</label>
            <input id="quiet_from" name="quiet_from" type="time" defaultValue={quiet.from} />
          </div>
          <div>
            <label htmlFor="quiet_until">Until</label>
            <input id="quiet_until" name="quiet_until" type="time" defaultValue={quiet.until} />
          </div>
          <div>
            <label htmlFor="time_zone">Time zone</label>
            <select id="time_zone" value={zone} onChange={({ target }) => setZone(target.value)}>
              {zones.map((name) => <option key={name}>{name}</option>)}
            </select>
          </div>
          <div>
            <label htmlFor="locale">Language of mails</label>
            <select id="locale" name="locale" defaultValue={locale.split('-')[0]! in LANGUAGES ? locale.split('-')[0] : 'en'}>
              {Object.entries(LANGUAGES).map(([tag, name]) => <option key={tag} value={tag}>{name}</option>)}
            </select>
          </div>
        </div>
        <Said saying={said} />
        <button style={{ justifySelf: 'start' }}>Save</button>
      </form>
    </section>
  )
}
