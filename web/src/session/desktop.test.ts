import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Refused } from '../api/client'
import type { Failure, Grant, Progress, Resource } from '../api/types'
import { mostAttempts } from './backoff'
import { Desktop } from './desktop'
import { OpenError, type Display, type End, type Live } from './display'
import type { Size } from './size'

const resource: Resource = { id: '/r/1', name: 'SessionDesktop', friendlyName: 'Office', type: 'Desktop', inBrowser: true, hostPool: 'pool', rdp: '/x.rdp', icon: '/x.png' }

/** A host, a service and a display in memory, each step decided by the test. */
class World {
  host = 'sh-' + Math.random() // another for each test: what is learnt of a host outlives it
  refusals: Failure[] = []
  openFailures: Failure[] = []
  progress: () => Promise<Progress> = () => Promise.resolve({ connectionId: 'c', state: 'Connected' })
  resizes = true
  asked = 0
  opened: { size: Size; end: (e: End) => void; closed: boolean; ticket: string }[] = []
  resized: Size[] = []

  api = {
    connect: async (): Promise<Grant> => {
      this.asked++
      const refusal = this.refusals.shift()
      if (refusal) throw new Refused(refusal, 409)
      return { connectionId: 'c' + this.asked, gateway: 'wss://gw/x', ticket: 't' + this.asked, host: this.host, expires: '' }
    },
    progress: () => this.progress(),
  }

  display: Display = {
    open: async (_box, grant, size): Promise<Live> => {
      const failure = this.openFailures.shift()
      if (failure) throw new OpenError(failure)
      let end: (e: End) => void = () => undefined
      const ended = new Promise<End>((resolve) => (end = resolve))
      const one = { size, end, closed: false, ticket: grant.ticket }
      this.opened.push(one)
      return {
        ended,
        resize: async (s) => (this.resized.push(s), this.resizes),
        close: () => ((one.closed = true), end({ orderly: true, text: 'closed' })),
        focus: () => undefined, ctrlAltDel: () => undefined, windowsKey: () => undefined, setScale: () => undefined, setKeyboard: () => undefined,
        sendClipboard: async () => undefined, fetchClipboard: async () => undefined,
      }
    },
  }

  start() {
    const d = new Desktop({ resource, api: this.api, load: async () => this.display, random: () => 0.5 })
    d.start(document.createElement('div'), { width: 800, height: 600 })
    return d
  }

  last() {
    const one = this.opened.at(-1)
    if (!one) throw new Error('nothing was opened')
    return one
  }
}

const turn = (ms = 0) => vi.advanceTimersByTimeAsync(ms)

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('Desktop', () => {
  it('opens at the size of its box with the ticket that it was given', async () => {
    const w = new World()
    const d = w.start()
    await turn()
    expect(d.state()).toEqual({ at: 'open', host: w.host })
    expect(w.last()).toMatchObject({ size: { width: 800, height: 600 }, ticket: 't1' })
  })

  it('waits for a host that starts, as long as the service says', async () => {
    const w = new World()
    w.refusals = [{ symbol: 'Starting', message: 'The host starts.', retryAfterSeconds: 15, correlationId: 'abc' }]
    const d = w.start()
    await turn()
    expect(d.state()).toMatchObject({ at: 'waiting', lost: false, failure: { correlationId: 'abc' } })
    await turn(14_900)
    expect(w.asked).toBe(1)
    await turn(200)
    expect(d.state().at).toBe('open')
  })

  it('does not try again where the service says that it will not help', async () => {
    const w = new World()
    w.refusals = [{ symbol: 'ConnectionFailedUserNotAuthorized', message: 'Not yours.' }]
    const d = w.start()
    await turn(120_000)
    expect(d.state()).toEqual({ at: 'failed', failure: { symbol: 'ConnectionFailedUserNotAuthorized', message: 'Not yours.' } })
    expect(w.asked).toBe(1)
    d.retry()
    await turn()
    expect(d.state().at).toBe('open')
  })

  it('returns after a loss with growing pauses and a ticket of its own each time', async () => {
    const w = new World()
    const d = w.start()
    await turn()
    w.openFailures = [1, 2, 3].map(() => ({ symbol: 'ClientGatewayUnreachable', message: 'no', retryAfterSeconds: 1 }))
    w.last().end({ orderly: false, text: 'websocket closed' })
    await turn()
    expect(d.state()).toMatchObject({ at: 'waiting', lost: true, attempt: 1 })
    const pauses: number[] = []
    for (let i = 0; i < 4; i++) {
      const now = d.state()
      if (now.at !== 'waiting') throw new Error('at ' + now.at)
      pauses.push(now.until - Date.now())
      await turn(now.until - Date.now())
    }
    expect(pauses).toEqual([1000, 2000, 4000, 8000])
    expect(d.state().at).toBe('open')
    expect(w.last().ticket).toBe('t5')
  })

  it('tries at once when the network is back', async () => {
    const w = new World()
    const d = w.start()
    await turn()
    w.progress = () => Promise.reject(new Error('offline'))
    w.last().end({ orderly: false, text: 'gone' })
    await turn()
    expect(d.state().at).toBe('waiting')
    dispatchEvent(new Event('online'))
    await turn()
    expect(d.state().at).toBe('open')
  })

  it('does not open another session after the person signed out of this one', async () => {
    const w = new World()
    const d = w.start()
    await turn()
    w.last().end({ orderly: true, text: 'UserRequested' })
    await turn(60_000)
    expect(d.state()).toEqual({ at: 'closed', by: 'host' })
    d.retry()
    await turn()
    w.progress = () => Promise.resolve({ connectionId: 'c', state: 'Completed' })
    w.last().end({ orderly: false, text: 'end of stream' })
    await turn(60_000)
    expect(d.state()).toEqual({ at: 'closed', by: 'host' })
    expect(w.asked).toBe(2)
  })

  it('takes the words of the service for a failure at the gateway', async () => {
    const w = new World()
    w.openFailures = [{ symbol: 'ClientGateway', message: 'mine' }]
    w.progress = () => Promise.resolve({ connectionId: 'c', state: 'Failed', failure: { symbol: 'ReverseConnectFailed', message: 'theirs', retryAfterSeconds: 10 } })
    const d = w.start()
    await turn()
    expect(d.state()).toMatchObject({ at: 'waiting', failure: { symbol: 'ReverseConnectFailed', message: 'theirs', correlationId: 'c1' } })
  })

  it('gives up after many tries', async () => {
    const w = new World()
    w.refusals = Array.from({ length: 100 }, () => ({ symbol: 'Full', message: 'full', retryAfterSeconds: 1 }))
    const d = w.start()
    await turn(600_000)
    expect(d.state().at).toBe('failed')
    expect(w.asked).toBe(mostAttempts + 1)
  })

  it('asks a host that can to resize, once the window rests', async () => {
    const w = new World()
    const d = w.start()
    await turn()
    for (const width of [780, 760, 740]) {
      d.fit({ width, height: 500 })
      await turn(100)
    }
    await turn(1000)
    expect(w.resized).toEqual([{ width: 740, height: 500 }])
    expect(w.asked).toBe(1)
    expect(d.state().at).toBe('open')
  })

  it('connects anew at the new size where the host only stretches, and remembers that', async () => {
    const w = new World()
    w.resizes = false
    const d = w.start()
    await turn()
    const first = w.last()
    d.fit({ width: 780, height: 580 })
    await turn(3000)
    expect(first.closed).toBe(true)
    expect(w.last().size).toEqual({ width: 780, height: 580 })
    d.fit({ width: 760, height: 580 })
    await turn(3000)
    expect(w.last().size).toEqual({ width: 760, height: 580 })
    expect(w.resized).toHaveLength(1)
    expect(d.state().at).toBe('open')
  })

  it('connects anew for a size beyond the one that is shown', async () => {
    const w = new World()
    const d = w.start()
    await turn()
    d.fit({ width: 700, height: 601 })
    await turn(3000)
    expect(w.resized).toEqual([])
    expect(w.last().size).toEqual({ width: 700, height: 601 })
    expect(d.state().at).toBe('open')
  })

  it('connects anew when it is asked to, and only while it is open', async () => {
    const w = new World()
    const d = w.start()
    await turn()
    void d.anew()
    await turn(3000)
    expect([w.asked, d.state().at]).toEqual([2, 'open'])
    d.disconnect()
    void d.anew()
    await turn(3000)
    expect([w.asked, d.state().at]).toEqual([2, 'closed'])
  })

  it('closes and stays closed when the person disconnects, whatever comes later', async () => {
    const w = new World()
    const d = w.start()
    await turn()
    d.disconnect()
    expect(w.last().closed).toBe(true)
    await turn(60_000)
    expect(d.state()).toEqual({ at: 'closed', by: 'user' })
    expect(w.asked).toBe(1)
  })

  it('leaves no connection behind when it is closed while it opens', async () => {
    const w = new World()
    const d = w.start()
    d.dispose()
    await turn(60_000)
    expect(w.opened.filter((o) => !o.closed)).toEqual([])
  })
})
