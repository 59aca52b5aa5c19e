// Scaling plans.
import { AddRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { useList, useService } from '../../arm/context'
import { parseID } from '../../arm/ids'
import { useGroups } from '../../arm/places'
import type { ScalingPlan } from '../../arm/types-scaling'
import { Panel } from '../../frame/Dialogs'
import { SelectField, TextField } from '../../frame/Fields'
import { useFindings } from '../../frame/form'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { Page, To } from '../../frame/Page'
import { PlaceFields, usePlace } from '../../frame/Place'
import { go, href } from '../../router'
import { portalTexts } from '../../texts/en'

const t = portalTexts.scaling
const write = 'Microsoft.DesktopVirtualization/scalingPlans/write'

const columns: Column<ScalingPlan>[] = [
  { key: 'name', title: t.name, value: (p) => parseID(p.id).name, cell: (p) => <To to={href('scalingplan', p.id)}>{parseID(p.id).name}</To>, wide: 1.4, rank: 1 },
  { key: 'type', title: t.poolType, value: (p) => p.properties.hostPoolType, rank: 1 },
  { key: 'zone', title: t.timeZone, value: (p) => p.properties.timeZone, wide: 1.4, rank: 2 },
  { key: 'pools', title: t.pools, value: (p) => p.properties.hostPoolReferences.length, numeric: true, rank: 2 },
  { key: 'group', title: t.group, value: (p) => parseID(p.id).group, rank: 3 },
]

export default function Plans() {
  const { subscription } = useService()
  const list = useList<ScalingPlan>(`/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization/scalingPlans`)
  const { lacks } = useGroups(write)
  const [creating, setCreating] = useState(false)
  const commands = [{ key: 'create', text: t.create, icon: <AddRegular />, primary: true, run: () => setCreating(true), lacks }]
  return (
    <Page title={t.plans} known={list} commands={commands} fill>
      <Grid label={t.plans} columns={columns} rows={list.data} id={(p) => p.id} open={(p) => go(href('scalingplan', p.id))} empty={t.plansEmpty} />
      {creating && <PlanForm close={() => setCreating(false)} />}
    </Page>
  )
}

function PlanForm({ close }: { close: () => void }) {
  const { arm } = useService()
  const place = usePlace(write)
  const [zone, setZone] = useState('UTC')
  const [type, setType] = useState('Pooled')
  const { show, finding } = useFindings()
  const run = async () => {
    const id = place.id('Microsoft.DesktopVirtualization/scalingPlans')
    const body = { location: place.location, properties: { timeZone: zone, hostPoolType: type } }
    const failed = await act(t.creating(place.name), () => arm.put(id, body, { ifNoneMatch: '*' }))
    show(failed)
    if (!failed) go(href('scalingplan', id))
    return failed
  }
  return (
    <Panel title={t.create} close={close} doIt={t.create} run={run} disabled={!place.ready || !zone}>
      <PlaceFields place={place} finding={finding} />
      <SelectField label={t.poolType} value={type} change={setType} of={['Pooled', 'Personal']} error={finding('hostPoolType')} />
      <TextField label={t.timeZone} hint={t.timeZoneHint} value={zone} change={setZone} required error={finding('timeZone')} />
    </Panel>
  )
}
