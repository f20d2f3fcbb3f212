'use client'

import { useEffect, useState } from 'react'
import { useSupabase, useUserId } from '@/app/providers'
import type { Client } from '@/lib/soundscape/database'

let setting: Promise<typeof import('@openfeature/web-sdk')> | undefined

/** OpenFeature with the project's flags, loaded when the first flag is asked for. */
function openFeature(supabase: Client): Promise<typeof import('@openfeature/web-sdk')> {
  setting ??= (async () => {
    const [sdk, { FlagProvider }] = await Promise.all([import('@openfeature/web-sdk'), import('@/lib/soundscape/flag-provider')])
    await sdk.OpenFeature.setProviderAndWait(new FlagProvider(supabase))
    return sdk
  })().catch((error: unknown) => {
    // Offline, for example. Whoever asks again tries again.
    setting = undefined
    throw error
  })
  return setting
}

/** Whether a flag is on for the reader, now and after each switch; `byDefault` until it is known. */
export function useFlag(key: string, byDefault = false): boolean {
  const supabase = useSupabase()
  const userId = useUserId()
  const [isOn, setOn] = useState(byDefault)
  useEffect(() => {
    let stop = () => {}
    let isOver = false
    void openFeature(supabase).then(async ({ OpenFeature, ProviderEvents }) => {
      await OpenFeature.setContext(userId ? { targetingKey: userId } : {})
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
