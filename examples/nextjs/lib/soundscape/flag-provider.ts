/** Feature flags of the project behind OpenFeature: the database evaluates them, Realtime tells when they change. */
import {
  ErrorCode, OpenFeatureEventEmitter, ProviderEvents, StandardResolutionReasons,
  type EvaluationContext, type JsonValue, type Provider, type ResolutionDetails,
} from '@openfeature/web-sdk'
import type { RealtimeChannel } from '@supabase/supabase-js'
import type { Client } from './database'

/** `active_from` and `active_until` pass without a change that anybody tells of. */
const REFRESH_MS = 60_000

export class FlagProvider implements Provider {
  readonly metadata = { name: 'soundscape' } as const
  readonly runsOn = 'client' as const
  readonly events = new OpenFeatureEventEmitter()
  #supabase: Client
  #flags = new Map<string, boolean>()
  #unknown = new Set<string>()
  #channel: RealtimeChannel | null = null
  #timer: ReturnType<typeof setInterval> | undefined

  constructor(supabase: Client) {
    this.#supabase = supabase
  }

  async initialize(): Promise<void> {
    await this.#read()
    this.#channel = this.#supabase
      .channel('feature-flags')
      .on('postgres_changes', { event: '*', schema: 'public', table: 'feature_flags' }, () => void this.#refresh())
      // What changed before the channel was joined was not told.
      .subscribe((state) => state === 'SUBSCRIBED' && void this.#refresh())
    this.#timer = setInterval(() => void this.#refresh(), REFRESH_MS)
  }

  /** The session says who is asked about, not the context. Another user has other flags. */
  async onContextChange(): Promise<void> {
    await this.#read()
  }

  async onClose(): Promise<void> {
    clearInterval(this.#timer)
    if (this.#channel) await this.#supabase.removeChannel(this.#channel)
  }

  resolveBooleanEvaluation(flagKey: string, defaultValue: boolean): ResolutionDetails<boolean> {
    const isOn = this.#flags.get(flagKey)
    if (isOn !== undefined) {
      return { value: isOn, variant: isOn ? 'on' : 'off', reason: StandardResolutionReasons.TARGETING_MATCH }
    }
    if (!this.#unknown.has(flagKey)) {
      this.#unknown.add(flagKey)
      console.warn(`The flag ${flagKey} is not known, its default is used.`)
    }
    return { value: defaultValue, reason: StandardResolutionReasons.DEFAULT, errorCode: ErrorCode.FLAG_NOT_FOUND }
  }

  resolveStringEvaluation(_: string, defaultValue: string): ResolutionDetails<string> {
    return ofAnotherType(defaultValue)
  }

  resolveNumberEvaluation(_: string, defaultValue: number): ResolutionDetails<number> {
    return ofAnotherType(defaultValue)
  }

  resolveObjectEvaluation<T extends JsonValue>(_: string, defaultValue: T, __: EvaluationContext): ResolutionDetails<T> {
    return ofAnotherType(defaultValue)
  }

  async #refresh(): Promise<void> {
    // Without an answer, what was known holds.
    const changed = await this.#read().catch(() => [])
    if (changed.length > 0) this.events.emit(ProviderEvents.ConfigurationChanged, { flagsChanged: changed })
  }

  /** Returns the keys whose value changed. */
  async #read(): Promise<string[]> {
    const { data, error } = await this.#supabase.rpc('flags')
    if (error) throw error
    // The types of a function's columns do not say that they are never null.
    const read = new Map(data.map(({ key, is_on }) => [key ?? '', is_on ?? false]))
    const changed = [...new Set([...read.keys(), ...this.#flags.keys()])].filter((key) => read.get(key) !== this.#flags.get(key))
    this.#flags = read
    return changed
  }
}

/** Flags are booleans. */
function ofAnotherType<T>(value: T): ResolutionDetails<T> {
  return { value, reason: StandardResolutionReasons.ERROR, errorCode: ErrorCode.TYPE_MISMATCH }
}
