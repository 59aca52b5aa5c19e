// Scaling plans.
import { AddRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { pace, useList, useService } from '../../arm/context'
import type { ArmError } from '../../arm/errors'
import { parseID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { Resource } from '../../arm/types'
import type { Location } from '../../arm/types-resources'
import type { ScalingPlan } from '../../arm/types-scaling'
import { Panel } from '../../frame/Dialogs'
import { SelectField, TextField } from '../../frame/Fields'
import { findingOf } from '../../frame/form'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { Page, To } from '../../frame/Page'
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
  const may = useMay(`/subscriptions/${subscription}`)
  const [creating, setCreating] = useState(false)
  const commands = [{ key: 'create', text: t.create, icon: <AddRegular />, primary: true, run: () => setCreating(true), lacks: !may(write) && write }]
  return (
    <Page title={t.plans} known={list} commands={commands} fill>
      <Grid label={t.plans} columns={columns} rows={list.data} id={(p) => p.id} open={(p) => go(href('scalingplan', p.id))} empty={t.plansEmpty} />
      {creating && <PlanForm close={() => setCreating(false)} />}
    </Page>
  )
}

function PlanForm({ close }: { close: () => void }) {
  const { arm, subscription } = useService()
  const groups = useList<Resource>(`/subscriptions/${subscription}/resourceGroups`, pace.slow)
  const locations = useList<Location>(`/subscriptions/${subscription}/locations`, pace.once)
  const [group, setGroup] = useState('')
  const [location, setLocation] = useState('')
  const [name, setName] = useState('')
  const [zone, setZone] = useState('UTC')
  const [type, setType] = useState('Pooled')
  const [error, setError] = useState<ArmError | null>(null)
  const finding = (field: string) => (error ? findingOf(error.findings, field) : undefined)
  const run = async () => {
    const id = `${group}/providers/Microsoft.DesktopVirtualization/scalingPlans/${encodeURIComponent(name)}`
    const body = { location: location || locations.data?.[0]?.name, properties: { timeZone: zone, hostPoolType: type } }
    const failed = await act(t.creating(name), () => arm.put(id, body, { ifNoneMatch: '*' }))
    setError(failed)
    if (!failed) go(href('scalingplan', id))
    return failed
  }
  return (
    <Panel title={t.create} close={close} doIt={t.create} run={run} disabled={!group || !name || !zone}>
      <SelectField label={t.group} value={group} change={setGroup} none="" required of={groups.data?.map((g) => ({ value: g.id, text: g.name })) ?? []} />
      <TextField label={t.name} value={name} change={setName} required error={finding('name')} />
      <SelectField label={t.location} value={location} change={setLocation} of={locations.data?.map((l) => ({ value: l.name, text: l.displayName })) ?? []} error={finding('location')} />
      <SelectField label={t.poolType} value={type} change={setType} of={['Pooled', 'Personal']} error={finding('hostPoolType')} />
      <TextField label={t.timeZone} hint={t.timeZoneHint} value={zone} change={setZone} required error={finding('timeZone')} />
    </Panel>
  )
}
