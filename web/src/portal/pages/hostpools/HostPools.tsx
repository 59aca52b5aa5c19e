// Host pools.
import { Button } from '@fluentui/react-components'
import { AddRegular, DeleteRegular } from '@fluentui/react-icons'
import { useMemo, useState } from 'react'
import { useList, useService } from '../../arm/context'
import { parseID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import { useGroups } from '../../arm/places'
import type { HostPool } from '../../arm/types-hostpools'
import { Grid, type Column } from '../../frame/Grid'
import { Page, To } from '../../frame/Page'
import { Status } from '../../frame/Status'
import { go, href } from '../../router'
import { portalTexts } from '../../texts/en'
import { countsOf, sessionsIn, useSummary, type Counts } from '../overview/summary'
import { PoolRemoval } from './PoolRemoval'

const t = portalTexts.hostpools

/** The permission to make a host pool. */
export const creates = 'Microsoft.DesktopVirtualization/hostPools/write'
const removes = 'Microsoft.DesktopVirtualization/hostPools/delete'

/** A pool with its counts, once these are known. */
interface Row {
  pool: HostPool
  counts: Counts | undefined
}

const columns = (remove: (p: HostPool) => void): Column<Row>[] => [
  { key: 'name', title: t.pool, value: (r) => parseID(r.pool.id).name, cell: (r) => <To to={href('hostpool', r.pool.id)}>{parseID(r.pool.id).name}</To>, wide: 1.4, rank: 1 },
  { key: 'friendly', title: t.friendlyName, value: (r) => r.pool.properties.friendlyName ?? '', rank: 3 },
  { key: 'type', title: t.type, value: (r) => t.types[r.pool.properties.hostPoolType] ?? r.pool.properties.hostPoolType, rank: 2 },
  { key: 'hosts', title: t.available, value: (r) => r.counts?.sessionHosts?.byStatus['Available'] ?? 0, cell: (r) => <Available counts={r.counts} />, numeric: true, rank: 1 },
  { key: 'sessions', title: t.sessions, value: (r) => sessionsIn(r.counts) ?? 0, cell: (r) => sessionsIn(r.counts) ?? '', numeric: true, rank: 1, wide: 0.8 },
  { key: 'balancing', title: t.balancing, value: (r) => t.balancings[r.pool.properties.loadBalancerType] ?? r.pool.properties.loadBalancerType, rank: 3, wide: 1.3 },
  { key: 'limit', title: t.limit, value: (r) => (r.pool.properties.hostPoolType === 'Personal' ? 0 : r.pool.properties.maxSessionLimit), cell: (r) => (r.pool.properties.hostPoolType === 'Personal' ? '' : r.pool.properties.maxSessionLimit), numeric: true, rank: 2 },
  { key: 'group', title: t.group, value: (r) => parseID(r.pool.id).group, rank: 2 },
  { key: 'actions', title: t.actions, value: () => '', plain: true, rank: 2, wide: 0.5, cell: (r) => <Delete pool={r.pool} remove={remove} /> },
]

function Available({ counts }: { counts: Counts | undefined }) {
  const hosts = counts?.sessionHosts
  if (!hosts) return null
  const available = hosts.byStatus['Available'] ?? 0
  return <Status tone={hosts.total === 0 ? 'off' : available === 0 ? 'bad' : available < hosts.total ? 'warning' : 'good'}>{t.ofAll(available, hosts.total)}</Status>
}

function Delete({ pool, remove }: { pool: HostPool; remove: (p: HostPool) => void }) {
  const may = useMay(pool.id)
  if (!may(removes)) return null
  return <Button size="small" appearance="subtle" icon={<DeleteRegular />} aria-label={portalTexts.frame.deleting(parseID(pool.id).name)} onClick={() => remove(pool)} />
}

export default function HostPools() {
  const { subscription } = useService()
  const list = useList<HostPool>(`/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization/hostPools`)
  const { lacks } = useGroups(creates)
  const summary = useSummary()
  const [removing, setRemoving] = useState<HostPool | null>(null)
  const rows = useMemo(() => list.data?.map((pool) => ({ pool, counts: countsOf(summary.data, pool.id) })), [list.data, summary.data])
  const commands = [{ key: 'create', text: t.create, icon: <AddRegular />, primary: true, to: href('hostpools-new'), lacks }]
  return (
    <Page title={t.pools} known={list} commands={commands} fill>
      <Grid label={t.pools} columns={columns(setRemoving)} rows={rows} id={(r) => r.pool.id} open={(r) => go(href('hostpool', r.pool.id))} empty={t.poolsEmpty} />
      {removing && <PoolRemoval id={removing.id} close={() => setRemoving(null)} />}
    </Page>
  )
}
