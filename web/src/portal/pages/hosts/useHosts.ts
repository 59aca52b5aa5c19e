// Session hosts of a pool or of all pools. A long list is loaded once; after that the hosts
// that have changed are asked for one by one.
import { useEffect } from 'react'
import type { Arm } from '../../arm/arm'
import type { Change } from '../../arm/changes'
import { pace, useLive, useService } from '../../arm/context'
import { ArmError } from '../../arm/errors'

import type { Resource } from '../../arm/types'
import type { SessionHost } from '../../arm/types-hosts'

/** Beyond so many changes at once the whole list is asked for. */
const most = 40

async function load(arm: Arm, pools: string[], signal: AbortSignal, partial: (hosts: SessionHost[]) => void): Promise<SessionHost[]> {
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

/** The changed hosts as they are now; null for those that are gone. */
async function changed(arm: Arm, changes: Change[]): Promise<Map<string, SessionHost | null>> {
  const found = new Map<string, SessionHost | null>()
  await Promise.all(
    changes.map(async (c) => {
      try {
        found.set(c.id.toLowerCase(), await arm.get<SessionHost>(c.id))
      } catch (thrown) {
        if (thrown instanceof ArmError && (thrown.status === 404 || thrown.status === 403)) found.set(c.id.toLowerCase(), null)
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
  const known = useLive<SessionHost[]>(
    key,
    async (signal, partial) => {
      const pools = pool ? [pool] : (await arm.list<Resource>(`/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization/hostPools`, { signal })).map((p) => p.id)
      return load(arm, pools, signal, partial)
    },
    pace.list,
  )
  useEffect(
    () =>
      live.listen(key, (changes) => {
        if (!changes) return
        const hosts = changes.filter((c) => /\/sessionhosts$/i.test(c.type) && (!pool || c.id.toLowerCase().startsWith(pool.toLowerCase() + '/')))
        if (hosts.length > most) return live.reload(key)
        if (hosts.length > 0) void changed(arm, hosts).then((now) => live.amend<SessionHost[]>(key, (all) => merged(all, now)))
      }),
    [arm, live, key, pool],
  )
  return known
}

