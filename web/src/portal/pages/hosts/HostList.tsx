// The session hosts of a pool or of all pools, and what is done to many of them.
import { Select } from '@fluentui/react-components'
import { useMemo, useState } from 'react'
import { nameOf, parseID } from '../../arm/ids'
import type { SessionHost } from '../../arm/types-hosts'
import { relative } from '../../frame/format'
import { Grid, type Column } from '../../frame/Grid'
import { Stale, To } from '../../frame/Page'
import { Status, toneOfHost } from '../../frame/Status'
import { go, href, useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import { Bulk } from './Bulk'
import { useHosts } from './useHosts'

const t = portalTexts.hosts

/** The first check that fails, with its message. */
export function failing(h: SessionHost): string {
  const check = h.properties.sessionHostHealthCheckResults?.find((c) => !/succeeded/i.test(c.healthCheckResult))
  return check ? `${check.healthCheckName}: ${check.additionalFailureDetails?.message ?? check.healthCheckResult}` : ''
}

const why = (h: SessionHost) => h.properties.statusReason ?? failing(h)

const columns: Column<SessionHost>[] = [
  { key: 'name', title: t.name, value: (h) => nameOf(h.id), cell: (h) => <To to={href('host', h.id)}>{nameOf(h.id)}</To>, wide: 1.2, rank: 1 },
  { key: 'status', title: t.status, value: (h) => h.properties.status, cell: (h) => <Status tone={toneOfHost(h.properties.status)} title={why(h)}>{h.properties.status}</Status>, rank: 1 },
  { key: 'why', title: t.reason, value: why, cell: (h) => <span title={why(h)}>{why(h)}</span>, wide: 1.8, rank: 2 },
  { key: 'sessions', title: t.sessions, value: (h) => h.properties.sessions ?? 0, numeric: true, rank: 2, wide: 0.6 },
  { key: 'drain', title: t.drain, value: (h) => (h.properties.allowNewSession ? t.notDraining : t.draining), cell: (h) => (h.properties.allowNewSession ? t.notDraining : <Status tone="warning">{t.draining}</Status>), rank: 2, wide: 1.3 },
  { key: 'assigned', title: t.assigned, value: (h) => h.properties.assignedUser ?? '', rank: 3 },
  { key: 'agent', title: t.agent, value: (h) => h.properties.agentVersion ?? '', rank: 3 },
  { key: 'os', title: t.os, value: (h) => h.properties.osVersion ?? '', rank: 3 },
  { key: 'update', title: t.update, value: (h) => h.properties.updateState, rank: 3 },
  { key: 'heartbeat', title: t.heartbeat, value: (h) => h.properties.lastHeartBeat ?? '', cell: (h) => (h.properties.lastHeartBeat ? relative(h.properties.lastHeartBeat) : ''), rank: 3 },
]

const poolColumn: Column<SessionHost> = {
  key: 'pool', title: t.pool, value: (h) => parseID(parseID(h.id).parent).name, rank: 2,
  cell: (h) => <To to={href('hostpool', parseID(h.id).parent)}>{parseID(parseID(h.id).parent).name}</To>,
}

export function HostList({ pool = '' }: { pool?: string }) {
  const known = useHosts(pool)
  const [status, setStatus] = useQuery('status')
  const [chosen, choose] = useState<ReadonlySet<string>>(new Set())
  const shown = useMemo(() => (pool ? columns : [...columns.slice(0, 1), poolColumn, ...columns.slice(1)]), [pool])
  const also = useMemo(() => (status ? (h: SessionHost) => h.properties.status === status : undefined), [status])
  const statuses = useMemo(() => [...new Set([...(known.data ?? []).map((h) => h.properties.status), ...(status ? [status] : [])])].sort(), [known.data, status])
  const picked = useMemo(() => (known.data ?? []).filter((h) => chosen.has(h.id)), [known.data, chosen])
  const tools = (
    <Select aria-label={t.status} value={status} onChange={(_, d) => setStatus(d.value)}>
      <option value="">{t.allStatuses}</option>
      {statuses.map((s) => (
        <option key={s}>{s}</option>
      ))}
    </Select>
  )
  return (
    <>
      <Stale known={known} />
      <Bulk hosts={picked} done={() => choose(new Set())} />
      <Grid label={t.hosts} columns={shown} rows={known.data} id={(h) => h.id} open={(h) => go(href('host', h.id))} chosen={chosen} choose={choose} empty={t.hostsEmpty} tools={tools} {...(also ? { also } : {})} />
    </>
  )
}
