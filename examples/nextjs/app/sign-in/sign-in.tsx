'use client'

import Link from 'next/link'
import { useRouter } from 'next/navigation'
import { useState, type FormEvent } from 'react'
import { useSupabase } from '@/app/providers'

export function SignIn({ next }: { next: string }) {
  const supabase = useSupabase()
  const router = useRouter()
  const [said, setSaid] = useState<{ text: string; isBad: boolean } | null>(null)
  const [isBusy, setBusy] = useState(false)

  async function signIn(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const wantsLink = (event.nativeEvent as SubmitEvent).submitter?.getAttribute('value') === 'link'
    const email = String(form.get('email'))
    setBusy(true)
    const { error } = wantsLink
      ? await supabase.auth.signInWithOtp({
          email,
          options: { shouldCreateUser: false, emailRedirectTo: `${location.origin}/auth/confirm?next=${next}` },
        })
      : await supabase.auth.signInWithPassword({ email, password: String(form.get('password')) })
    setBusy(false)
    if (error) return setSaid({ text: error.message, isBad: true })
    if (wantsLink) return setSaid({ text: `A link is on its way to ${email}.`, isBad: false })
    router.push(next)
    router.refresh()
  }

  return (
    <form className="narrow" onSubmit={signIn}>
      <div>
        <label htmlFor="email">E-mail</label>
        <input id="email" name="email" type="email" autoComplete="email" required />
      </div>
      <div>
        <label htmlFor="password">Password</label>
        <input id="password" name="password" type="password" autoComplete="current-password" />
      </div>
      {said && (
        <p className={`notice ${said.isBad ? 'bad' : ''}`} role="alert">
          {said.text}
        </p>
      )}
      <div className="row">
        <button className="primary" disabled={isBusy}>
          Sign in
        </button>
        <button value="link" disabled={isBusy}>
          Mail me a link
        </button>
      </div>
      <p className="soft small">
        No account yet? <Link href="/sign-up">Sign up</Link>. Forgotten the password? Let a link be mailed, then set a
        new one under <Link href="/account">Account</Link>.
      </p>
    </form>
  )
}
