// What the pages show, kept fresh: one loader for a key however many look at it. Nothing
// is asked while the browser tab is hidden; the last good answer stays while the
// connection is lost, with its time.
import { concerns, type Change } from './changes'
import { asArmError, type ArmError } from './errors'

/** What is known of a thing now. */
export interface Known<T> {
  /** The last good answer. */
  data: T | undefined
  /** Why there is no newer one. */
  error: ArmError | undefined
  /** When data was asked for, in milliseconds since 1970; 0 before the first answer. */
  asOf: number
  /** Whether the first answer is still to come. */
  loading: boolean
}

/** Loads a thing; partial shows what came so far of a long one. */
export type Load<T> = (signal: AbortSignal, partial: (data: T) => void) => Promise<T>

const nothing: Known<never> = { data: undefined, error: undefined, asOf: 0, loading: true }

/** Longest pause after failures, in milliseconds. */
const longestPause = 60_000

/** How often lists are asked for while the service tells of changes, in milliseconds. */
const toldPause = 60_000

class Entry<T> {
  known: Known<T> = nothing
  readonly listeners = new Set<() => void>()
  private timer: ReturnType<typeof setTimeout> | undefined
  private running: AbortController | null = null
  private again = false
  private failures = 0

  constructor(
    public load: Load<T>,
    public every: number,
    /** Whether the service tells of changes. */
    private readonly told: () => boolean,
  ) {}

  /** Asks now; while an answer is awaited, once more after it. */
  async ask(): Promise<void> {
    clearTimeout(this.timer)
    if (this.running) {
      this.again = true
      return
    }
    const control = (this.running = new AbortController())
    const began = Date.now()
    try {
      const partial = (data: T) => {
        if (!this.known.asOf && !control.signal.aborted) this.show({ ...this.known, data })
      }
      const data = await this.load(control.signal, partial)
      if (control.signal.aborted) return
      this.failures = 0
      this.show({ data, error: undefined, asOf: began, loading: false })
    } catch (thrown) {
      if (control.signal.aborted) return
      this.failures++
      this.show({ ...this.known, error: asArmError(thrown), loading: false })
    } finally {
      if (this.running === control) this.running = null
    }
    if (this.again) {
      this.again = false
      return this.ask()
    }
    this.plan()
  }

  private plan() {
    if (this.listeners.size === 0 || this.every === 0 || document.hidden) return
    const lastingRefusal = this.known.error !== undefined && [401, 403, 404].includes(this.known.error.status)
    const every = this.told() && this.every >= listPace ? Math.max(this.every, toldPause) : this.every
    const pause = Math.min(every * 2 ** Math.min(this.failures, 4), longestPause)
    this.timer = setTimeout(() => void this.ask(), lastingRefusal ? longestPause : pause)
  }

  /** Changes the last good answer by what is known from elsewhere. */
  amend(change: (data: T) => T) {
    if (this.known.data !== undefined) this.show({ ...this.known, data: change(this.known.data) })
  }

  private show(known: Known<T>) {
    this.known = known
    this.listeners.forEach((l) => l())
  }

  stop() {
    clearTimeout(this.timer)
    this.running?.abort()
    this.running = null
    this.again = false
  }
}

/** What is asked for so seldom, in milliseconds, or more seldom is what the service tells of. */
export const listPace = 10_000

/** All that is kept fresh. */
export class Live {
  /** Unknown before the first answer. */
  private told: boolean | undefined
  private readonly hearing = new Set<(changes: Change[] | null) => void>()
  /** Each key has its own type, which those who watch it know. */
  private readonly entries = new Map<string, Entry<unknown>>()

  constructor() {
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) return
      for (const e of this.entries.values()) if (e.listeners.size > 0) void e.ask()
    })
    addEventListener('online', () => this.reload(''))
  }

  private entry<T>(key: string, load: Load<T>, every: number): Entry<T> {
    let e = this.entries.get(key) as Entry<T> | undefined
    if (!e) this.entries.set(key, (e = new Entry(load, every, () => this.told === true)) as Entry<unknown>)
    e.load = load
    return e
  }

  /** Begins to keep a thing fresh for one who looks at it; the result ends that. */
  watch<T>(key: string, load: Load<T>, every: number, changed: () => void): () => void {
    const e = this.entry(key, load, every)
    e.every = every
    e.listeners.add(changed)
    if (e.listeners.size === 1) void e.ask()
    return () => {
      e.listeners.delete(changed)
      if (e.listeners.size > 0) return
      e.stop()
      this.forget()
    }
  }

  /** What is known now. */
  known<T>(key: string): Known<T> {
    return (this.entries.get(key)?.known as Known<T> | undefined) ?? nothing
  }

  /** Takes the service's word on what has changed; null: anything may have. */
  hear(changes: Change[] | null): void {
    this.hearing.forEach((h) => h(changes))
    if (!changes) return this.reload('')
    for (const [key, e] of this.entries) if (e.listeners.size > 0 && !this.own.has(key) && changes.some((c) => concerns(key, c))) void e.ask()
  }

  /** Whether that word comes. When it ends or comes again, all that is looked at is asked for: the connection was lost, or is back. */
  tellsOfChanges(working: boolean): void {
    const turned = this.told !== undefined && this.told !== working
    this.told = working
    if (turned) this.reload('')
  }

  /** Keys whose watchers take changes in themselves, for lists too long to be asked for at each. */
  private readonly own = new Set<string>()

  /** Changes what is known of a key by what is known from elsewhere. */
  amend<T>(key: string, change: (data: T) => T): void {
    ;(this.entries.get(key) as Entry<T> | undefined)?.amend(change)
  }

  /** Has a watcher of a key hear of changes in place of a new question for the whole; the result ends that. */
  listen(key: string, hear: (changes: Change[] | null) => void): () => void {
    this.own.add(key)
    this.hearing.add(hear)
    return () => {
      this.own.delete(key)
      this.hearing.delete(hear)
    }
  }

  /** Asks again for every watched thing whose key holds a text, in any case: after a change. */
  reload(part: string): void {
    const text = part.toLowerCase()
    for (const [key, e] of this.entries) if (e.listeners.size > 0 && key.toLowerCase().includes(text)) void e.ask()
  }

  /** Keeps the last answers of what nobody looks at for a quick return, but not many. */
  private forget() {
    const idle = [...this.entries].filter(([, e]) => e.listeners.size === 0)
    for (const [key] of idle.slice(0, Math.max(0, idle.length - 50))) this.entries.delete(key)
  }
}
