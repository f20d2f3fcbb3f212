'use client'

import { useRouter } from 'next/navigation'
import { useState, type FormEvent } from 'react'
import { useSupabase } from '@/app/providers'
import { Link } from '@/components/link'
import { OtherWays } from '@/components/other-ways'
import { Said, type Saying } from '@/components/said'

export function SignUp() {
  const supabase = useSupabase()
  const router = useRouter()
  const [said, setSaid] = useState<Saying | null>(null)
  const [isBusy, setBusy] = useState(false)

  async function signUp(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const email = String(form.get('email'))
    const name = String(form.get('name')).trim()
    setBusy(true)
    const { data, error } = await supabase.auth.signUp({
      email,
      password: String(form.get('password')),
      options: {
        emailRedirectTo: `${location.origin}/auth/confirm`,
        ...(name ? { data: { display_name: name } } : {}),
      },
    })
    setBusy(false)
    if (error) return setSaid({ text: error.message, isBad: true })
    // Projects that confirm addresses answer without a session.
    if (!data.session) return setSaid({ text: `Open the link that was mailed to ${email}.` })
    router.push('/library')
    router.refresh()
  }

  return (
    <div className="stack">
      <form className="narrow" onSubmit={signUp}>
        <div>
          <label htmlFor="name">Name that others see</label>
          <input id="name" name="name" autoComplete="name" maxLength={80} dir="auto" />
        </div>
        <div>
          <label htmlFor="email">E-mail</label>
          <input id="email" name="email" type="email" autoComplete="email" required />
        </div>
        <div>
          <label htmlFor="password">Password</label>
          <input
            id="password" name="password" type="password" autoComplete="new-password" minLength={8} required
            aria-describedby="password-rule"
          />
          <span id="password-rule" className="soft small">
            At least 8 characters.
          </span>
        </div>
        <Said saying={said} />
        <button className="primary" disabled={isBusy}>
          Sign up
        </button>
      </form>
      <OtherWays next="/library" />
      <p className="soft small" style={{ margin: 0 }}>
        Already have an account? <Link href="/sign-in">Sign in</Link>
      </p>
    </div>
  )
}
