// Asks the example frontend's provider for OpenFeature, as a browser does in which one user after another signs in;
// prints who has which flag, and what it warned of. argv: the folder whose node_modules hold the packages; stdin:
// {url, key, provider, flags, users}, where users are [id, token].
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const require = createRequire(process.argv[2] + '/')
const { createClient } = require('@supabase/supabase-js')
const { OpenFeature } = require('@openfeature/web-sdk')
const given = JSON.parse(readFileSync(0, 'utf8'))
const { FlagProvider } = await import(given.provider)
const BROWSERS = 16
const warnings = []
console.warn = (text) => warnings.push(text)
const waiting = [...given.users]
const isOn = Object.fromEntries(given.flags.map((flag) => [flag, []]))

async function browse(domain) {
  let signedIn = waiting.pop()
  const supabase = createClient(given.url, given.key, { accessToken: async () => signedIn[1] })
  await OpenFeature.setProviderAndWait(domain, new FlagProvider(supabase))
  const browser = OpenFeature.getClient(domain)
  for (; signedIn; signedIn = waiting.pop()) {
    await OpenFeature.setContext(domain, { targetingKey: signedIn[0] })
    for (const flag of given.flags) if (browser.getBooleanValue(flag, false)) isOn[flag].push(signedIn[0])
  }
}

await Promise.all(Array.from({ length: BROWSERS }, (_, place) => browse(`browser ${place}`)))
const asked = OpenFeature.getClient('browser 0')
const unknown = [true, false, true].map((fallback) => asked.getBooleanValue('test_unknown', fallback))
process.stdout.write(JSON.stringify({ isOn, unknown, warnings }), () => process.exit(0))
