// Whose sessions end.
import { pace, useLive, useService } from '../../arm/context'
import type { SessionHost, UserSession } from '../../arm/types-hosts'
import { portalTexts } from '../../texts/en'
import { sessionsOn, stands } from './actions'

const t = portalTexts.hosts

/** Of more hosts than these only the number of sessions is told. */
const named = 20

/** Whose sessions end, by name where there are few. */
export function Lost({ hosts }: { hosts: readonly SessionHost[] }) {
  const { arm } = useService()
  const all = sessionsOn(hosts)
  const busy = hosts.filter((h) => (h.properties.sessions ?? 0) > 0)
  const ask = busy.length > 0 && busy.length <= named
  const users = useLive(
    ask ? `users of ${busy.map((h) => h.id).join(' ')}` : '',
    async (signal) => (await Promise.all(busy.map((h) => arm.list<UserSession>(`${h.id}/userSessions`, { signal })))).flat().filter(stands).map((s) => s.properties.userPrincipalName),
    pace.live,
  )
  if (all === 0) return <span>{t.noSessionEnds}</span>
  return <span>{t.sessionsEnd(users.data?.length ?? all, [...new Set(users.data ?? [])].sort().join(', '))}</span>
}
