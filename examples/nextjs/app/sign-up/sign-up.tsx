'use client'

import Link from 'next/link'
import { useRouter } from 'next/navigation'
import { useState, type FormEvent } from 'react'
import { useSupabase } from '@/app/providers'

export function SignUp() {
  const supabase = useSupabase()
  const router = useRouter()
  const [said, setSaid] = useState<{ text: string; isBad: boolean } | null>(null)
  const [isBusy, setBusy] = useState(false)

  async function signUp(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const email = String(form.get('email'))
    setBusy(true)
    const { data, error } = await supabase.auth.signUp({
      email,
      password: String(form.get('password')),
      options: { emailRedirectTo: `${location.origin}/auth/confirm` },
    })
    setBusy(false)
    if (error) return setSaid({ text: error.message, isBad: true })
    // Projects that confirm addresses answer without a session.
    if (!data.session) return setSaid({ text: `Open the link that was mailed to ${email}.`, isBad: false })
    router.push('/library')
    router.refresh()
  }

  return (
    <form className="narrow" onSubmit={signUp}>
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
      {said && (
        <p className={`notice ${said.isBad ? 'bad' : ''}`} role="alert">
          {said.text}
        </p>
      )}
      <button className="primary" disabled={isBusy} style={{ justifySelf: 'start' }}>
        Sign up
      </button>
      <p className="soft small">
        Already here? <Link href="/sign-in">Sign in</Link>
      </p>
    </form>
  )
}
