// Host pools.
import { AddRegular } from '@fluentui/react-icons'
import { useList, useService } from '../../arm/context'
import { parseID } from '../../arm/ids'
import { useGroups } from '../../arm/places'
import type { HostPool } from '../../arm/types-hostpools'
import { Grid, type Column } from '../../frame/Grid'
import { Page, To } from '../../frame/Page'
import { go, href } from '../../router'
import { portalTexts } from '../../texts/en'

const t = portalTexts.hostpools

/** The permission to make a host pool. */
export const creates = 'Microsoft.DesktopVirtualization/hostPools/write'

const columns: Column<HostPool>[] = [
  { key: 'name', title: t.pool, value: (p) => parseID(p.id).name, cell: (p) => <To to={href('hostpool', p.id)}>{parseID(p.id).name}</To>, wide: 1.4, rank: 1 },
  { key: 'friendly', title: t.friendlyName, value: (p) => p.properties.friendlyName ?? '', rank: 3 },
  { key: 'type', title: t.type, value: (p) => t.types[p.properties.hostPoolType] ?? p.properties.hostPoolType, rank: 1 },
  { key: 'balancing', title: t.balancing, value: (p) => t.balancings[p.properties.loadBalancerType] ?? p.properties.loadBalancerType, rank: 2, wide: 1.3 },
  { key: 'limit', title: t.limit, value: (p) => p.properties.maxSessionLimit, numeric: true, rank: 2 },
  { key: 'validation', title: t.validation, value: (p) => (p.properties.validationEnvironment ? t.yes : t.no), rank: 3 },
  { key: 'start', title: t.start, value: (p) => (p.properties.startVMOnConnect ? t.yes : t.no), rank: 3 },
  { key: 'group', title: t.group, value: (p) => parseID(p.id).group, rank: 2 },
]

export default function HostPools() {
  const { subscription } = useService()
  const list = useList<HostPool>(`/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization/hostPools`)
  const { lacks } = useGroups(creates)
  const commands = [{ key: 'create', text: t.create, icon: <AddRegular />, primary: true, to: href('hostpools-new'), lacks }]
  return (
    <Page title={t.pools} known={list} commands={commands} fill>
      <Grid label={t.pools} columns={columns} rows={list.data} id={(p) => p.id} open={(p) => go(href('hostpool', p.id))} empty={t.poolsEmpty} />
    </Page>
  )
}
