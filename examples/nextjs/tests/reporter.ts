/** What scripts/test-web prints of a journey, while it goes on: each test when it begins, and how it ended. */
import type { EventData } from 'node:test'
import type { TestEvent } from 'node:test/reporters'
import { inspect } from 'node:util'

/** Of node's own summary. */
const COUNT = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /

export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of events) {
    if (type === 'test:stdout' || type === 'test:stderr') yield data.message
    else if (type === 'test:diagnostic' && !COUNT.test(data.message)) yield `ℹ ${data.message}\n`
    else if (type === 'test:dequeue' && !isFile(data)) yield `… ${data.name}\n`
    else if (type === 'test:pass' && !isFile(data)) yield passed(data)
    else if (type === 'test:fail') yield failed(data)
  }
}

function passed({ name, skip, details }: EventData.TestPass): string {
  return skip === undefined ? `✔ ${name}, ${seconds(details.duration_ms)}\n` : `﹣ ${name}: skipped, ${String(skip)}\n`
}

function failed(data: EventData.TestFail): string {
  const { error } = data.details as { error: Error & { failureType?: string } }
  // Its tests have said why.
  if (isFile(data) && error.failureType === 'subtestsFailed') return ''
  return `✖ ${isFile(data) ? 'what comes after' : data.name}, ${seconds(data.details.duration_ms)}\n${inspect(error.cause ?? error)}\n`
}

/** The file itself is a test too. */
const isFile = ({ name }: { name: string }) => name.endsWith('.test.ts')

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
