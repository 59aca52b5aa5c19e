// A host pool at a glance: how its hosts are, who works on them, what failed last.
import { useMemo } from 'react'
import { useList, pace, useService } from '../../arm/context'
import { nameOf, parseID, sameID } from '../../arm/ids'
import type { HostPool } from '../../arm/types-hostpools'
import type { ApplicationGroup } from '../../arm/types-publish'
import { Details } from '../../frame/Details'
import { tenths } from '../../frame/format'
import { To } from '../../frame/Page'
import { Status, toneOfHost } from '../../frame/Status'
import { href } from '../../router'
import { portalTexts } from '../../texts/en'
import { FailedConnections } from '../monitor/FailedConnections'
import { History, type PlotOf } from '../monitor/History'
import { countsOf, greatest, sessionsIn, useSummary, type Counts } from '../overview/summary'

const t = portalTexts.hostpools
const tab = (pool: string, name: string, more: Record<string, string> = {}) => href('hostpool', pool, { tab: name, ...more })

const plots: PlotOf[] = [
  { title: t.sessions, metrics: { 'Active Sessions': t.active, 'Disconnected Sessions': t.disconnected }, format: tenths },
  { title: t.hosts, metrics: { 'Session Hosts': t.all, 'Available Session Hosts': t.available }, format: tenths },
]

export function PoolOverview({ pool }: { pool: HostPool }) {
  const { subscription } = useService()
  const counts = countsOf(useSummary().data, pool.id)
  const groups = useList<ApplicationGroup>(`/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization/applicationGroups`, pace.slow)
  const own = useMemo(() => groups.data?.filter((g) => sameID(g.properties.hostPoolArmPath, pool.id)), [groups.data, pool.id])
  const p = pool.properties
  const personal = p.hostPoolType === 'Personal'
  return (
    <>
      <Details
        of={[
          [t.hosts, counts && <Hosts pool={pool.id} counts={counts} />],
          [t.sessions, counts && (counts.userSessions ? <To to={tab(pool.id, 'sessions')}>{sessionsIn(counts)}</To> : t.noAccess)],
          [t.keys, counts && <Keys pool={pool.id} counts={counts} />],
          [t.appGroups, own && (own.length > 0 ? own.map((g) => <div key={g.id}><To to={href('appgroup', g.id)}>{nameOf(g.id)}</To></div>) : <Status tone="warning">{t.noGroups}</Status>)],
          [t.type, t.types[p.hostPoolType] ?? p.hostPoolType],
          personal ? [t.assignment, t.assignments[p.personalDesktopAssignmentType ?? ''] ?? p.personalDesktopAssignmentType] : [t.balancing, t.balancings[p.loadBalancerType] ?? p.loadBalancerType],
          [t.limit, personal ? '' : p.maxSessionLimit],
          [t.validation, p.validationEnvironment ? t.yes : t.no],
          [t.start, p.startVMOnConnect ? t.yes : t.no],
          [t.preferred, t.preferreds[p.preferredAppGroupType] ?? p.preferredAppGroupType],
          [t.friendlyName, p.friendlyName],
          [t.description, p.description],
          [t.group, parseID(pool.id).group],
          [t.location, pool.location],
        ]}
      />
      <History of={pool.id} plots={plots} />
      <FailedConnections pool={pool.id} />
    </>
  )
}

function Hosts({ pool, counts }: { pool: string; counts: Counts }) {
  if (!counts.sessionHosts) return t.noAccess
  if (counts.sessionHosts.total === 0) return <To to={href('add', pool)}>{t.addTitle}</To>
  return greatest(counts.sessionHosts.byStatus).map(([status, n]) => (
    <div key={status}>
      <Status tone={toneOfHost(status)}>
        <To to={tab(pool, 'hosts', { status })}>
          {status}: {n}
        </To>
      </Status>
    </div>
  ))
}

function Keys({ pool, counts }: { pool: string; counts: Counts }) {
  const k = counts.registrationKeys
  if (!k) return t.noAccess
  const soon = k.expiringWithinADay > 0
  return (
    <Status tone={soon ? 'warning' : k.valid > 0 ? 'good' : 'off'}>
      <To to={tab(pool, 'key')}>{soon ? t.keysSoon(k.expiringWithinADay) : t.keysValid(k.valid)}</To>
    </Status>
  )
}
