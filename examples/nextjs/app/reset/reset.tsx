'use client'

import { useState, type FormEvent } from 'react'
import { useSupabase } from '@/app/providers'
import { Said, type Saying } from '@/components/said'

/** Mails a link that signs in once and leads to the account, where the password is set. */
export function Reset() {
  const supabase = useSupabase()
  const [said, setSaid] = useState<Saying | null>(null)

  async function ask(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const email = String(new FormData(event.currentTarget).get('email'))
    const { error } = await supabase.auth.resetPasswordForEmail(email, {
      redirectTo: `${location.origin}/auth/confirm?next=${encodeURIComponent('/account#change-password')}`,
    })
    // The answer is the same for an address that nobody has, so that nobody learns who has an account.
    setSaid(error ? { text: error.message, isBad: true } : { text: `If ${email} has an account, a link is on its way.` })
  }

  return (
    <form className="narrow" onSubmit={ask}>
      <div>
        <label htmlFor="email">E-mail</label>
        <input id="email" name="email" type="email" autoComplete="email" required />
      </div>
      <Said saying={said} />
      <button className="primary">Mail me a link</button>
    </form>
  )
}
