// The counts of the overview, and what of them needs somebody.
import { href } from '../../router'
import { portalTexts } from '../../texts/en'

/** What the service counts; a part that the person may read nowhere is null. */
export interface Summary {
  asOf: string
  hostPools: number
  sessionHosts: { total: number; drained: number; byStatus: Record<string, number>; failingChecks: Record<string, number>; updatesWaiting: number } | null
  userSessions: Record<string, number> | null
  registrationKeys: { valid: number; expiringWithinADay: number; expiringWithinAWeek: number; expiredWithinADay: number } | null
  deployments: { running: number; failedWithinADay: number } | null
}

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
