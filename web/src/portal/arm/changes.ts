// The service's word on what has changed: lists are asked for again at once, and seldom
// otherwise. Without it, as while the connection is lost, they are asked for by the clock.
import type { Arm } from './arm'
import { later } from './poll'

/** A resource that was made, changed or removed. */
export interface Change {
  id: string
  type: string
}

interface Answer {
  cursor: string
  all: boolean
  changes: Change[]
}

/** What hears of changes: null means that anything may have changed. */
export type Hear = (changes: Change[] | null) => void

const firstPause = 1000
const longestPause = 10_000

/** Waits for changes below a scope until the signal says stop. up tells whether they come. */
export async function watchChanges(arm: Arm, scope: string, hear: Hear, up: (working: boolean) => void, signal: AbortSignal): Promise<void> {
  let cursor = ''
  let pause = firstPause
  while (!signal.aborted) {
    try {
      const said = await arm.get<Answer>(`${scope}/providers/Microsoft.DesktopVirtualization/changes?since=${encodeURIComponent(cursor)}`, { signal })
      if (said.all ? cursor !== '' : said.changes.length > 0) hear(said.all ? null : said.changes)
      cursor = said.cursor
      pause = firstPause
      up(true)
    } catch {
      if (signal.aborted) return
      up(false)
      await later(pause, signal).catch(() => undefined)
      pause = Math.min(pause * 2, longestPause)
    }
  }
}

/** Whether what a key asks for may hold a resource: it is the resource, a part of it, or a list of its type. */
export function concerns(key: string, change: Change): boolean {
  const path = key.split('?')[0]!.toLowerCase()
  const id = change.id.toLowerCase()
  if (path === id || path.startsWith(id + '/')) return true
  const kind = change.type.toLowerCase().split('/').at(-1)
  if (!path.endsWith('/' + kind)) return false
  const holder = path.slice(0, path.length - kind!.length - 1).replace(/\/providers\/[^/]+$/, '')
  return id.startsWith(holder + '/')
}
