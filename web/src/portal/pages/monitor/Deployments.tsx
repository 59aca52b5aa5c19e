// Deployments of templates, of the subscription and of all its resource groups.
import { pace, useLive, useService } from '../../arm/context'
import type { Arm } from '../../arm/arm'
import { parseID } from '../../arm/ids'
import type { Resource } from '../../arm/types'
import type { Deployment } from '../../arm/types-monitor'
import { Grid, type Column } from '../../frame/Grid'
import { Page, To } from '../../frame/Page'
import { Status, toneOfState } from '../../frame/Status'
import { When } from '../../frame/When'
import { go, href } from '../../router'
import { portalTexts } from '../../texts/en'
import { isoDuration } from './duration'

const t = portalTexts.monitor

type Row = Resource<Deployment>

/** All deployments that the person may see, the newest first. */
export async function allDeployments(arm: Arm, subscription: string, signal: AbortSignal): Promise<Row[]> {
  const scope = `/subscriptions/${subscription}`
  const groups = await arm.list<Resource>(`${scope}/resourceGroups`, { signal })
  const of = (at: string) => arm.list<Row>(`${at}/providers/Microsoft.Resources/deployments`, { signal }).catch((error: { status?: number }) => (error.status === 403 ? [] : Promise.reject(error)))
  const lists = await Promise.all([scope, ...groups.map((g) => g.id)].map(of))
  return lists.flat().sort((a, b) => b.properties.timestamp.localeCompare(a.properties.timestamp))
}

const columns: Column<Row>[] = [
  { key: 'name', title: portalTexts.search.name, value: (d) => d.name, cell: (d) => <To to={href('deployment', d.id)}>{d.name}</To>, wide: 2, rank: 1 },
  { key: 'state', title: t.state, value: (d) => d.properties.provisioningState, cell: (d) => <Status tone={toneOfState(d.properties.provisioningState)}>{d.properties.provisioningState}</Status>, rank: 1 },
  { key: 'scope', title: t.scope, value: (d) => parseID(d.id).group || t.subscriptionScope, rank: 2 },
  { key: 'time', title: t.time, value: (d) => d.properties.timestamp, cell: (d) => <When at={d.properties.timestamp} />, rank: 2 },
  { key: 'duration', title: t.duration, value: (d) => isoDuration(d.properties.duration).seconds, cell: (d) => isoDuration(d.properties.duration).text, numeric: true, rank: 3 },
]

export default function Deployments() {
  const { arm, subscription } = useService()
  const list = useLive(`deployments of ${subscription}`, (signal) => allDeployments(arm, subscription, signal), pace.list)
  return (
    <Page title={t.deployments} known={list} fill>
      <Grid label={t.deployments} columns={columns} rows={list.data} id={(d) => d.id} open={(d) => go(href('deployment', d.id))} empty={t.deploymentsEmpty} />
    </Page>
  )
}
