// One desktop that a person opened: asks for a session, shows it, returns to it after a
// loss, follows the window's size. It knows nothing of React.
import { Refused, type Api } from '../api/client'
import type { Failure, Grant, Resource } from '../api/types'
import { texts } from '../texts'
import { delayAfterLoss, mostAttempts } from './backoff'
import { OpenError, type Display, type End, type Live } from './display'
import { sameSize, type Size } from './size'

export type Phase =
  | { at: 'asking'; again: boolean }
  | { at: 'opening'; host: string; again: boolean }
  | { at: 'open'; host: string }
  | { at: 'waiting'; failure: Failure; lost: boolean; until: number; attempt: number }
  | { at: 'failed'; failure: Failure }
  | { at: 'closed'; by: 'user' | 'host' }

/** Hosts that were found to stretch instead of resizing, by name, for as long as the page lives. */
const stretching = new Set<string>()

/**
 * Whether a size exceeds another. Such a one takes a new connection: xrdp 0.9 draws at the
 * new size before it announces it, and IronRDP 0.7.0 breaks where that is beyond the old one.
 */
const larger = (a: Size, b: Size) => a.width > b.width || a.height > b.height

/** How long the window must keep its size before the desktop follows, in milliseconds. */
const settle = 500

export interface DesktopOptions {
  resource: Resource
  api: Pick<Api, 'connect' | 'progress'>
  load: () => Promise<Display>
  random?: () => number
}

export class Desktop {
  private phase: Phase = { at: 'asking', again: false }
  private readonly listeners = new Set<() => void>()
  private box: HTMLElement | null = null
  private wanted: Size = { width: 1280, height: 720 }
  private shown: Size | null = null
  private live: Live | null = null
  private run = 0 // each try has a number; what a superseded one brings is dropped
  private attempt = 0
  private timer: ReturnType<typeof setTimeout> | undefined
  private settling: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly o: DesktopOptions) {}

  get resource(): Resource {
    return this.o.resource
  }

  state = (): Phase => this.phase

  connection = (): Live | null => this.live

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  private set(phase: Phase) {
    this.phase = phase
    this.listeners.forEach((l) => l())
  }

  /** Starts, in an element of the page that holds nothing else. */
  start(box: HTMLElement, size: Size): void {
    if (this.box) return
    this.box = box
    this.wanted = size
    addEventListener('online', this.online)
    void this.try(false)
  }

  /** Tries at once: from the wait, after a failure, or after the end. */
  retry(): void {
    if (this.phase.at === 'failed' || this.phase.at === 'closed') this.attempt = 0
    if (this.phase.at === 'waiting' || this.phase.at === 'failed' || this.phase.at === 'closed') void this.try(this.attempt > 0)
  }

  /** Leaves the session running on its host. */
  disconnect(): void {
    this.stop()
    this.set({ at: 'closed', by: 'user' })
  }

  /** Disconnects, and forgets the page. */
  dispose(): void {
    this.stop()
    removeEventListener('online', this.online)
    this.listeners.clear()
  }

  /** Tells the size that the desktop should have. */
  fit(size: Size): void {
    this.wanted = size
    clearTimeout(this.settling)
    this.settling = setTimeout(() => void this.follow(), settle)
  }

  private readonly online = () => {
    if (this.phase.at === 'waiting' && this.phase.lost) this.retry()
  }

  private stop() {
    this.run++
    clearTimeout(this.timer)
    clearTimeout(this.settling)
    this.live?.close()
    this.live = null
    this.shown = null
  }

  private async follow() {
    const { live, run, phase } = this
    if (!live || phase.at !== 'open' || !this.shown || sameSize(this.shown, this.wanted)) return
    const size = this.wanted
    if (!stretching.has(phase.host) && !larger(size, this.shown)) {
      const followed = await live.resize(size)
      if (run !== this.run) return
      if (followed) {
        this.shown = size
        if (!sameSize(size, this.wanted)) this.fit(this.wanted)
        return
      }
      stretching.add(phase.host)
    }
    await this.anew()
  }

  /** Connects anew to the same session: what was chosen takes effect only as a connection begins. */
  async anew(): Promise<void> {
    const { live, run, phase } = this
    if (!live || phase.at !== 'open') return
    this.stop()
    await Promise.race([live.ended, new Promise((resolve) => setTimeout(resolve, 1000))])
    if (run + 1 === this.run) void this.try(true)
  }

  private async try(again: boolean) {
    this.stop()
    const run = this.run
    let grant: Grant | null = null
    this.set({ at: 'asking', again })
    try {
      const loading = this.o.load()
      loading.catch(() => undefined) // reported by the await below, unless connect fails first
      grant = await this.o.api.connect(this.o.resource.id)
      if (run !== this.run) return
      this.set({ at: 'opening', host: grant.host, again })
      const display = await loading
      if (run !== this.run || !this.box) return
      const size = this.wanted
      const live = await display.open(this.box, grant, size, this.o.resource.friendlyName)
      if (run !== this.run) return live.close()
      this.opened(live, grant, size)
    } catch (error) {
      const failure = await this.explain(error, grant)
      if (run === this.run) this.refused(failure, again)
    }
  }

  private opened(live: Live, grant: Grant, size: Size) {
    const run = this.run
    this.live = live
    this.shown = size
    this.attempt = 0
    this.set({ at: 'open', host: grant.host })
    live.focus()
    if (!sameSize(size, this.wanted)) this.fit(this.wanted)
    void live.ended.then(async (end) => {
      if (run !== this.run) return
      const orderly = await this.wasOrderly(end, grant)
      if (run === this.run) this.over(orderly, grant)
    })
  }

  /** Asks the service where the client cannot tell an end in order from a loss. */
  private async wasOrderly(end: End, grant: Grant): Promise<boolean> {
    if (end.orderly) return true
    try {
      const progress = await this.o.api.progress(grant.connectionId)
      return progress.state === 'Completed' && !progress.failure
    } catch {
      return false // the service cannot be reached either: it was the network
    }
  }

  private over(orderly: boolean, grant: Grant) {
    this.stop()
    if (orderly) return this.set({ at: 'closed', by: 'host' })
    this.refused({ symbol: 'ConnectionLost', message: texts.lost, correlationId: grant.connectionId }, true)
  }

  /** Waits and tries again where that may help. */
  private refused(failure: Failure, lost: boolean) {
    this.attempt++
    const seconds = failure.retryAfterSeconds ?? (failure.symbol === 'ConnectionLost' ? 0 : undefined)
    if (seconds === undefined || this.attempt > mostAttempts) return this.set({ at: 'failed', failure })
    const wait = Math.max(seconds, lost ? delayAfterLoss(this.attempt, this.o.random) : 0) * 1000
    this.set({ at: 'waiting', failure, lost, until: Date.now() + wait, attempt: this.attempt })
    this.timer = setTimeout(() => void this.try(lost), wait)
  }

  /** The service's own words for a failure, where it has some. */
  private async explain(error: unknown, grant: Grant | null): Promise<Failure> {
    if (error instanceof Refused) return error.failure
    const own = error instanceof OpenError ? error.failure : { symbol: 'ClientNotLoaded', message: texts.failures.load, retryAfterSeconds: 10 }
    if (!grant) return own
    try {
      const progress = await this.o.api.progress(grant.connectionId)
      if (progress.failure) return { correlationId: grant.connectionId, ...progress.failure }
    } catch {
      // What the client saw is all there is to say.
    }
    return { ...own, correlationId: grant.connectionId }
  }
}
