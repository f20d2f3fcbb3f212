'use client'

import { useRouter } from 'next/navigation'
import { useState, type FormEvent } from 'react'
import { useSupabase } from '@/app/providers'
import { Link } from '@/components/link'
import { OtherWays } from '@/components/other-ways'
import { Said, type Saying } from '@/components/said'

export function SignIn({ next }: { next: string }) {
  const supabase = useSupabase()
  const router = useRouter()
  const [said, setSaid] = useState<Saying | null>(null)
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
          options: {
            shouldCreateUser: false,
            emailRedirectTo: `${location.origin}/auth/confirm?next=${encodeURIComponent(next)}`,
          },
        })
      : await supabase.auth.signInWithPassword({ email, password: String(form.get('password')) })
    setBusy(false)
    if (error) return setSaid({ text: error.message, isBad: true })
    if (wantsLink) return setSaid({ text: `A link is on its way to ${email}.` })
    router.push(next)
    router.refresh()
  }

  return (
    <div className="stack">
      <form className="narrow" onSubmit={signIn}>
        <div>
          <label htmlFor="email">E-mail</label>
          <input id="email" name="email" type="email" autoComplete="email" required />
        </div>
        <div>
          <label htmlFor="password">Password</label>
          <input id="password" name="password" type="password" autoComplete="current-password" />
        </div>
        <Said saying={said} />
        <button className="primary" disabled={isBusy}>
          Sign in
        </button>
        <span className="or">or without a password</span>
        <button className="button" value="link" disabled={isBusy}>
          Mail me a link
        </button>
      </form>
      <OtherWays next={next} />
      <p className="soft small" style={{ margin: 0 }}>
        No account yet? <Link href="/sign-up">Sign up</Link>. Forgotten the password?{' '}
        <Link href="/reset">Choose a new one</Link>.
      </p>
    </div>
  )
}
