'use client'

import { useState, type FormEvent } from 'react'
import { useSupabase } from '@/app/providers'

export function Account() {
  const supabase = useSupabase()
  const [said, setSaid] = useState<{ text: string; isBad: boolean } | null>(null)

  async function change(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const form = event.currentTarget
    const values = new FormData(form)
    const email = String(values.get('email') ?? '')
    const { error } = await supabase.auth.updateUser(
      email ? { email } : { password: String(values.get('password')) },
      { emailRedirectTo: `${location.origin}/auth/confirm?next=/account` },
    )
    if (error) return setSaid({ text: error.message, isBad: true })
    form.reset()
    setSaid({ text: email ? 'Open the links that were mailed to both addresses.' : 'The password is changed.', isBad: false })
  }

  return (
    <>
      {said && (
        <p className={`notice ${said.isBad ? 'bad' : ''}`} role="alert">
          {said.text}
        </p>
      )}
      <h2>Password</h2>
      <form className="narrow" onSubmit={change}>
        <div>
          <label htmlFor="password">New password</label>
          <input id="password" name="password" type="password" autoComplete="new-password" minLength={8} required />
        </div>
        <button style={{ justifySelf: 'start' }}>Change the password</button>
      </form>
      <h2>E-mail</h2>
      <form className="narrow" onSubmit={change}>
        <div>
          <label htmlFor="email">New address</label>
          <input id="email" name="email" type="email" autoComplete="email" required />
        </div>
        <button style={{ justifySelf: 'start' }}>Change the address</button>
      </form>
    </>
  )
}
