// The counts of the overview, and what of them needs somebody.
import { useLive, useService } from '../../arm/context'
import { sameID } from '../../arm/ids'
import { href } from '../../router'
import { portalTexts } from '../../texts/en'

/** Counts of everything, or of one pool; a part that the person may read nowhere is null. */
export interface Counts {
  sessionHosts: { total: number; drained: number; byStatus: Record<string, number>; failingChecks: Record<string, number>; updatesWaiting: number } | null
  userSessions: Record<string, number> | null
  registrationKeys: { valid: number; expiringWithinADay: number; expiringWithinAWeek: number; expiredWithinADay: number } | null
}

/** What the service counts. */
export interface Summary extends Counts {
  asOf: string
  hostPools: number
  deployments: { running: number; failedWithinADay: number } | null
  perHostPool: ({ id: string } & Counts)[]
}

const pause = 5000

/** The counts of all that the person may read. */
export function useSummary() {
  const { arm, subscription } = useService()
  const path = `/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization/overview`
  return useLive(path, (signal) => arm.get<Summary>(path, { signal }), pause)
}

/** The counts of one host pool; undefined until they are known. */
export const countsOf = (summary: Summary | undefined, pool: string) => summary?.perHostPool.find((p) => sameID(p.id, pool))

/** How many sessions there are, in whatever state. */
export const sessionsIn = (c: Counts | undefined) => (c?.userSessions ? Object.values(c.userSessions).reduce((a, b) => a + b, 0) : undefined)

export interface Need {
  text: string
  to: string
  tone: 'bad' | 'warning'
}

/** Statuses in which nothing is wrong with a session host. */
const well = new Set(['Available', 'Shutdown', 'Upgrading'])

/** What somebody should look at, the worst first. */
export function needsOf(s: Summary): Need[] {
  const t = portalTexts.overview.needs
  const unhealthy = Object.entries(s.sessionHosts?.byStatus ?? {}).reduce((n, [status, count]) => n + (well.has(status) ? 0 : count), 0)
  const all: [number, (n: number) => string, string, Need['tone']][] = [
    [unhealthy, t.unhealthy, href('hosts', '', { order: 'status' }), 'bad'],
    [s.deployments?.failedWithinADay ?? 0, t.failed, href('deployments', '', { filter: 'Failed' }), 'bad'],
    [s.registrationKeys?.expiredWithinADay ?? 0, t.keysExpired, href('hostpools'), 'warning'],
    [s.registrationKeys?.expiringWithinADay ?? 0, t.keysSoon, href('hostpools'), 'warning'],
    [s.sessionHosts?.updatesWaiting ?? 0, t.updates, href('hosts'), 'warning'],
  ]
  return all.filter(([n]) => n > 0).map(([n, text, to, tone]) => ({ text: text(n), to, tone }))
}

/** Counts by name, the greatest first. */
export const greatest = (counts: Record<string, number>) => Object.entries(counts).filter(([, n]) => n > 0).sort(([a, n], [b, m]) => m - n || a.localeCompare(b))
