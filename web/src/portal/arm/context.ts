import { createContext, useCallback, useContext, useMemo, useSyncExternalStore } from 'react'
import type { Arm } from './arm'
import { listPace, type Known, type Live, type Load } from './live'

/** What every page reaches the service by. */
export interface Service {
  arm: Arm
  live: Live
  /** The subscription that the portal shows. */
  subscription: string
}

export const ServiceContext = createContext<Service | null>(null)

/** The service as the signed-in person sees it. */
export function useService(): Service {
  const s = useContext(ServiceContext)
  if (!s) throw new Error('useService outside of a signed-in page')
  return s
}

/** How often what is looked at is asked for again, in milliseconds. */
export const pace = { live: 3000, list: listPace, slow: 60_000, once: 0 }

const idle = () => () => undefined

/** Keeps a thing fresh while the caller is shown. An empty key asks for nothing. */
export function useLive<T>(key: string, load: Load<T>, every: number = pace.list): Known<T> & { reload: () => void } {
  const { live } = useService()
  // The key names what load asks for: another function of the same key asks for the same.
  const watch = useCallback((changed: () => void) => live.watch(key, load, every, changed), [live, key, every])
  const known = useSyncExternalStore(key ? watch : idle, () => live.known<T>(key))
  const reload = useCallback(() => live.reload(key), [live, key])
  return useMemo(() => ({ ...known, reload }), [known, reload])
}

/** One resource of the management API, with its etag. */
export function useResource<T>(path: string, every: number = pace.list): Known<{ body: T; etag: string }> & { reload: () => void } {
  const { arm } = useService()
  return useLive(path, (signal) => arm.send<T>('GET', path, undefined, { signal }), every)
}

/** A list of the management API, up to so many rows; its first pages are shown while the others come. */
export function useList<T>(path: string, every: number = pace.list, most = Infinity): Known<T[]> & { reload: () => void } {
  const { arm } = useService()
  return useLive(
    path,
    async (signal, partial) => {
      const rows: T[] = []
      for await (const page of arm.pages<T>(path, { signal })) {
        rows.push(...page)
        if (rows.length >= most) break
        partial([...rows])
      }
      return rows
    },
    every,
  )
}
