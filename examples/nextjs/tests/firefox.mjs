#!/usr/bin/env node
/**
 * Firefox for Playwright. Playwright speaks WebDriver BiDi to it, and for each context sends one command that Debian's
 * ESR does not know yet. This stands between the two: it answers that command and passes on everything else.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { WebSocketServer } from 'ws'

const UNKNOWN_TO_ESR = new Set(['emulation.setMediaFeaturesOverride'])

const firefox = spawn(process.env.SOUNDSCAPE_FIREFOX ?? 'firefox-esr', process.argv.slice(2), { stdio: ['ignore', 'inherit', 'pipe'] })
firefox.on('exit', (code) => process.exit(code ?? 1))
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => firefox.kill(signal))

for await (const line of createInterface(firefox.stderr)) {
  const address = /WebDriver BiDi listening on (ws:\S+)/.exec(line)?.[1]
  if (!address) {
    console.error(line)
    continue
  }
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  server.on('connection', (playwright) => connect(playwright, `${address}/session`))
  server.on('listening', () => console.error(`WebDriver BiDi listening on ws://127.0.0.1:${server.address().port}`))
}

function connect(playwright, address) {
  const waiting = []
  const browser = new WebSocket(address)
  browser.onopen = () => waiting.splice(0).forEach((text) => browser.send(text))
  browser.onmessage = ({ data }) => playwright.send(data)
  browser.onclose = () => playwright.close()
  playwright.on('close', () => browser.close())
  playwright.on('message', (data) => {
    const text = String(data)
    const { id, method } = JSON.parse(text)
    if (UNKNOWN_TO_ESR.has(method)) return playwright.send(JSON.stringify({ type: 'success', id, result: {} }))
    if (browser.readyState === WebSocket.OPEN) browser.send(text)
    else waiting.push(text)
  })
}
