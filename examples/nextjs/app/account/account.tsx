'use client'

import { useRouter } from 'next/navigation'
import { useState, type FormEvent, type ReactNode } from 'react'
import { useLeave, useSupabase } from '@/app/providers'
import { Link } from '@/components/link'
import { Said, type Saying } from '@/components/said'
import { CaptionsSwitch } from './captions-switch'
import { unsubscribe } from '@/lib/soundscape/notifications'
import type { Theme } from '@/lib/soundscape/database'
import { DataExport } from './data-export'

const THEMES: Record<Theme, string> = { system: 'As the system', light: 'Light', dark: 'Dark' }
const YEAR_S = 365 * 24 * 3600

interface Profile {
  display_name: string
  username: string
  bio: string
}

export function Account({ userId, email, theme, profile }: { userId: string; email: string; theme: string; profile: Profile }) {
  const supabase = useSupabase()
  const router = useRouter()
  const leave = useLeave()
  const [problem, setProblem] = useState('')

  async function saveProfile(form: FormData): Promise<Saying> {
    const text = (name: keyof Profile) => String(form.get(name) ?? '').trim() || null
    const display_name = text('display_name')
    const { error } = await supabase
      .from('users')
      .update({ display_name, username: text('username'), bio: text('bio') })
      .eq('id', userId)
    if (error?.code === '23505') return { text: 'Somebody has this username already.', isBad: true }
    if (error) return { text: error.message, isBad: true }
    if (display_name !== (profile.display_name || null)) {
      // Every page's menu reads the name from the token, which costs no query. So a new name needs a new token.
      const { error } = await supabase.auth.updateUser({ data: { display_name } })
      const problem = error ?? (await supabase.auth.refreshSession()).error
      if (problem) return { text: `Saved, but the menu still shows the old name: ${problem.message}`, isBad: true }
    }
    router.refresh()
    return { text: 'Saved.' }
  }

  async function changePassword(form: FormData): Promise<Saying> {
    const { error } = await supabase.auth.updateUser({ password: String(form.get('password')) })
    return error ? { text: error.message, isBad: true } : { text: 'The password is changed.' }
  }

  async function changeAddress(form: FormData): Promise<Saying> {
    const { error } = await supabase.auth.updateUser(
      { email: String(form.get('email')) },
      { emailRedirectTo: `${location.origin}/auth/confirm?next=/account` },
    )
    return error ? { text: error.message, isBad: true } : { text: 'Open the links that were mailed to both addresses.' }
  }

  async function changeTheme(theme: Theme) {
    document.cookie = `theme=${theme}; path=/; max-age=${YEAR_S}; samesite=lax`
    document.documentElement.dataset.theme = theme
    await supabase.from('user_preferences').update({ theme }).eq('user_id', userId)
  }

  async function deleteAccount() {
    if (!confirm('Delete the account, with all recordings, playlists and likes? This cannot be undone.')) return
    const { error } = await supabase.rpc('delete_my_account')
    if (error) return setProblem(error.message)
    await unsubscribe(supabase).catch(() => undefined)
    await leave('/sign-in?deleted=1')
  }

  return (
    <div className="stack" style={{ maxWidth: '44rem' }}>
      <Section title="Profile" button="Save" onSend={saveProfile}>
        <div className="fields">
          <Field name="display_name" label="Name that others see" value={profile.display_name} maxLength={80} />
          <Field
            name="username" label="Username" value={profile.username} pattern="[a-z0-9_]{3,30}"
            title="3 to 30 lower-case letters, digits and underscores"
          />
        </div>
        <div>
          <label htmlFor="bio">About you</label>
          <textarea id="bio" name="bio" defaultValue={profile.bio} maxLength={1000} dir="auto" />
        </div>
      </Section>
      <section className="card stack">
        <h2 style={{ margin: 0 }}>Appearance</h2>
        <fieldset className="row">
          <legend className="visually-hidden">Theme</legend>
          {(Object.entries(THEMES) as [Theme, string][]).map(([name, label]) => (
            <label key={name} className="check">
              <input type="radio" name="theme" defaultChecked={theme === name} onChange={() => void changeTheme(name)} />
              {label}
            </label>
          ))}
        </fieldset>
      </section>
      <CaptionsSwitch userId={userId} />
      <Section title="Password" button="Change the password" onSend={changePassword} resets>
        <Field name="password" label="New password" type="password" autoComplete="new-password" minLength={8} required />
      </Section>
      <Section title="E-mail" button="Change the address" onSend={changeAddress} resets>
        <p className="soft" style={{ margin: 0 }}>Your address is {email}.</p>
        <Field name="email" label="New address" type="email" autoComplete="email" required />
      </Section>
      <section className="card stack">
        <h2 style={{ margin: 0 }}>Sessions</h2>
        <p className="soft" style={{ margin: 0 }}>This signs you out on all your devices, this one too.</p>
        <button style={{ justifySelf: 'start' }} onClick={() => void leave('/', 'global')}>
          Sign out everywhere
        </button>
      </section>
      <section className="card stack">
        <h2 style={{ margin: 0 }}>API keys</h2>
        <p className="soft" style={{ margin: 0 }}>For a script that uploads every night, or a notebook that reads your recordings.</p>
        <Link className="button" style={{ justifySelf: 'start' }} href="/account/keys">Manage API keys</Link>
      </section>
      <DataExport />
      <section className="card stack">
        <h2 style={{ margin: 0 }}>Delete your account</h2>
        <p className="soft" style={{ margin: 0 }}>
          This deletes the account and everything in it, at once. It cannot be undone.
        </p>
        <Said saying={problem ? { text: problem, isBad: true } : null} />
        <button className="bad" style={{ justifySelf: 'start' }} onClick={() => void deleteAccount()}>
          Delete the account
        </button>
      </section>
    </div>
  )
}

function Section({ title, button, onSend, resets, children }: {
  title: string
  button: string
  onSend: (form: FormData) => Promise<Saying>
  resets?: boolean
  children: ReactNode
}) {
  const [said, setSaid] = useState<Saying | null>(null)
  async function send(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const form = event.currentTarget
    const saying = await onSend(new FormData(form))
    setSaid(saying)
    if (resets && !saying.isBad) form.reset()
  }
  return (
    <section className="card" id={`change-${title.toLowerCase()}`}>
      <form className="stack" onSubmit={send}>
        <h2 style={{ margin: 0 }}>{title}</h2>
        {children}
        <Said saying={said} />
        <button style={{ justifySelf: 'start' }}>{button}</button>
      </form>
    </section>
  )
}

function Field({ name, label, value, ...rest }: { name: string; label: string; value?: string } & React.InputHTMLAttributes<HTMLInputElement>) {
  return (
    <div>
      <label htmlFor={name}>{label}</label>
      <input id={name} name={name} defaultValue={value} dir="auto" {...rest} />
    </div>
  )
}
