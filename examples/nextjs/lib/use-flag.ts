'use client'

import type { EvaluationContext } from '@openfeature/web-sdk'
import { useEffect, useState } from 'react'
import { useSupabase, useUserId } from '@/app/providers'
import type { Client } from '@/lib/soundscape/database'

type Sdk = typeof import('@openfeature/web-sdk')

let setting: Promise<Sdk> | undefined
/** For whom the flags are read, and when they are. */
let reading: { userId: string | null; isRead: Promise<void> } | undefined

/** OpenFeature with the project's flags for this user, loaded when the first flag is asked for. */
async function openFeature(supabase: Client, userId: string | null): Promise<Sdk> {
  const context: EvaluationContext = userId ? { targetingKey: userId } : {}
  setting ??= (async () => {
    const [sdk, { FlagProvider }] = await Promise.all([import('@openfeature/web-sdk'), import('@/lib/soundscape/flag-provider')])
    // Before the provider is there, which would read the flags a second time.
    await sdk.OpenFeature.setContext(context)
    await sdk.OpenFeature.setProviderAndWait(new FlagProvider(supabase))
    reading = { userId, isRead: Promise.resolve() }
    return sdk
  })().catch((error: unknown) => {
    // Offline, for example. Whoever asks again tries again.
    setting = undefined
    throw error
  })
  const sdk = await setting
  if (reading?.userId !== userId) {
    const started = { userId, isRead: setContext(sdk, context) }
    reading = started
    started.isRead.catch(() => {
      if (reading === started) reading = undefined
    })
  }
  await reading.isRead
  return sdk
}

/** Read the flags of another user. The SDK's own function keeps a failure to itself, and the flags of the user before. */
async function setContext({ OpenFeature, ProviderStatus }: Sdk, context: EvaluationContext): Promise<void> {
  await OpenFeature.setContext(context)
  if (OpenFeature.getClient().providerStatus === ProviderStatus.ERROR) throw new Error('The flags cannot be read.')
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
