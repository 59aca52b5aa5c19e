// Session hosts of a pool or of all pools. A long list is loaded once; after that the hosts
// that have changed are asked for one by one.
import { useEffect, useRef } from 'react'
import type { Arm } from '../../arm/arm'
import type { Change } from '../../arm/changes'
import { pace, useLive, useService } from '../../arm/context'
import { ArmError } from '../../arm/errors'
import { parseID, sameID } from '../../arm/ids'
import type { Resource } from '../../arm/types'
import type { SessionHost } from '../../arm/types-hosts'

/** Counts the questions for changed hosts. */
let turns = 0

/** Beyond so many changes at once the whole list is asked for. */
const most = 40

/** All session hosts of some pools; the first pages are told while the others come. */
export async function loadHosts(arm: Arm, pools: string[], signal: AbortSignal, partial: (hosts: SessionHost[]) => void = () => undefined): Promise<SessionHost[]> {
  const all: SessionHost[] = []
  await Promise.all(
    pools.map(async (pool) => {
      for await (const page of arm.pages<SessionHost>(`${pool}/sessionHosts?$top=1000`, { signal })) {
        all.push(...page)
        partial([...all])
      }
    }),
  )
  return all
}

/** The changed hosts as they are now; null for those that are gone, or not to be seen any more. */
async function changed(arm: Arm, changes: Change[]): Promise<Map<string, SessionHost | null>> {
  const found = new Map<string, SessionHost | null>()
  await Promise.all(
    changes.map(async (c) => {
      try {
        found.set(c.id.toLowerCase(), await arm.get<SessionHost>(c.id))
      } catch (thrown) {
        if (!(thrown instanceof ArmError) || (thrown.status !== 404 && thrown.status !== 403)) throw thrown
        found.set(c.id.toLowerCase(), null)
      }
    }),
  )
  return found
}

/** A list with some of its hosts replaced, removed or new. */
export function merged(hosts: readonly SessionHost[], now: Map<string, SessionHost | null>): SessionHost[] {
  const left = new Map(now)
  const kept = hosts.flatMap((h) => {
    const key = h.id.toLowerCase()
    if (!left.has(key)) return [h]
    const other = left.get(key)
    left.delete(key)
    return other ? [other] : []
  })
  return [...kept, ...[...left.values()].filter((h) => h !== null)]
}

/** The session hosts of a pool, or of all that the person may see. */
export function useHosts(pool = '') {
  const { arm, live, subscription } = useService()
  const key = `session hosts of ${pool || subscription}`
  // What was heard while a whole list came: its pages may be older.
  const heard = useRef(new Map<string, SessionHost | null>())
  // The newest question for each host: an answer to an older one is dropped.
  const newest = useRef(new Map<string, number>())
  const known = useLive<SessionHost[]>(
    key,
    async (signal, partial) => {
      heard.current = new Map()
      const pools = pool ? [pool] : (await arm.list<Resource>(`/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization/hostPools`, { signal })).map((p) => p.id)
      return merged(await loadHosts(arm, pools, signal, partial), heard.current)
    },
    pace.list,
  )
  useEffect(
    () =>
      live.listen(key, (changes) => {
        if (!changes) return
        const hosts = changes.filter((c) => /\/sessionhosts$/i.test(c.type) && (!pool || sameID(parseID(c.id).parent, pool)))
        if (hosts.length > most) return live.reload(key)
        if (hosts.length === 0) return
        const turn = ++turns
        for (const c of hosts) newest.current.set(c.id.toLowerCase(), turn)
        changed(arm, hosts).then(
          (all) => {
            const now = new Map([...all].filter(([id]) => newest.current.get(id) === turn))
            for (const [id, host] of now) heard.current.set(id, host)
            live.amend<SessionHost[]>(key, (all) => merged(all, now))
          },
          () => live.reload(key), // which tells what is wrong
        )
      }),
    [arm, live, key, pool],
  )
  return known
}

