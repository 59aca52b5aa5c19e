// What was begun in this window, what became of it, and what is still under way.
import { useSyncExternalStore } from 'react'
import { asArmError, type ArmError } from '../arm/errors'
import { portalTexts } from '../texts/en'

export interface Notification {
  key: number
  title: string
  /** Names of what failed, with why. */
  failures: { name: string; error: ArmError }[]
  state: 'working' | 'done' | 'failed'
  at: number
  /** How many of how many are done, where there are several. */
  done: number
  all: number
}

let list: readonly Notification[] = []
let keys = 0
const listeners = new Set<() => void>()

function set(next: readonly Notification[]) {
  list = next
  listeners.forEach((l) => l())
}

const update = (key: number, change: (n: Notification) => Notification) => set(list.map((n) => (n.key === key ? change(n) : n)))

export const useNotifications = (): readonly Notification[] =>
  useSyncExternalStore(
    (changed) => {
      listeners.add(changed)
      return () => listeners.delete(changed)
    },
    () => list,
  )

export const dismiss = (key: number) => set(list.filter((n) => n.key !== key))
export const dismissEnded = () => set(list.filter((n) => n.state === 'working'))

/** How many requests of one bulk action are under way at once. */
const together = 8

/**
 * Does a thing for each of some, a few at a time, and tells of it in the notifications. It
 * resolves to the errors, in the order of their occurrence: none means that all is done.
 */
export async function actOnEach<T>(title: string, each: readonly T[], name: (item: T) => string, act: (item: T) => Promise<unknown>): Promise<ArmError[]> {
  const key = ++keys
  set([{ key, title, failures: [], state: 'working', at: Date.now(), done: 0, all: each.length }, ...list])
  const errors: ArmError[] = []
  const queue = [...each]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      try {
        await act(item)
        update(key, (n) => ({ ...n, done: n.done + 1 }))
      } catch (thrown) {
        const failure = { name: name(item), error: asArmError(thrown) }
        errors.push(failure.error)
        update(key, (n) => ({ ...n, failures: [...n.failures, failure] }))
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(together, each.length) }, worker))
  update(key, (n) => ({ ...n, state: errors.length > 0 ? 'failed' : 'done', at: Date.now() }))
  return errors
}

/** Does one thing and tells of it. It resolves to the error, or null. */
export async function act(title: string, work: () => Promise<unknown>): Promise<ArmError | null> {
  const [error] = await actOnEach(title, [title], () => '', work)
  return error ?? null
}

/** What a notification says in one line. */
export function headline(n: Notification): string {
  const t = portalTexts.frame
  if (n.state === 'working') return n.all > 1 ? t.some(n.title, n.done, n.all) : t.began(n.title)
  if (n.state === 'done') return t.done(n.title)
  return n.all > 1 ? t.some(n.title, n.done, n.all) : t.failed(n.title)
}
