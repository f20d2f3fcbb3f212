'use client'

import type { EvaluationContext } from '@openfeature/web-sdk'
import { useEffect, useState } from 'react'
import { useSupabase, useUserId } from '@/app/providers'
import type { Client } from '@/lib/soundscape/database'

type Sdk = typeof import('@openfeature/web-sdk')

let setting: Promise<Sdk> | undefined
/** For whom the flags were read. */
let readFor: string | null | undefined

/** OpenFeature with the project's flags for this user, loaded when the first flag is asked for. */
async function openFeature(supabase: Client, userId: string | null): Promise<Sdk> {
  const context: EvaluationContext = userId ? { targetingKey: userId } : {}
  setting ??= (async () => {
    const [sdk, { FlagProvider }] = await Promise.all([import('@openfeature/web-sdk'), import('@/lib/soundscape/flag-provider')])
    // Before the provider is there, which would read the flags a second time.
    await sdk.OpenFeature.setContext(context)
    readFor = userId
    await sdk.OpenFeature.setProviderAndWait(new FlagProvider(supabase))
    return sdk
  })().catch((error: unknown) => {
    // Offline, for example. Whoever asks again tries again.
    setting = undefined
    throw error
  })
  const sdk = await setting
  if (readFor !== userId) {
    readFor = userId
    await sdk.OpenFeature.setContext(context)
  }
  return sdk
}

/** Whether a flag is on for the reader, now and after each switch; `byDefault` until it is known. */
export function useFlag(key: string, byDefault = false): boolean {
  const supabase = useSupabase()
  const userId = useUserId()
  const [isOn, setOn] = useState(byDefault)
  useEffect(() => {
    let stop = () => {}
    let isOver = false
    void openFeature(supabase, userId).then(({ OpenFeature, ProviderEvents }) => {
      if (isOver) return
      const client = OpenFeature.getClient()
      const read = () => setOn(client.getBooleanValue(key, byDefault))
      client.addHandler(ProviderEvents.ConfigurationChanged, read)
      stop = () => client.removeHandler(ProviderEvents.ConfigurationChanged, read)
      read()
    }, () => undefined)
    return () => {
      isOver = true
      stop()
    }
  }, [supabase, userId, key, byDefault])
  return isOn
}
