// One scaling plan: its week, its schedules, its host pools.
import { Button, Select, Switch } from '@fluentui/react-components'
import { AddRegular, DeleteRegular, EditRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { pace, useList, useResource, useService } from '../../arm/context'
import { nameOf, parseID, sameID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { Resource } from '../../arm/types'
import type { PoolReference, ScalingPlan, Schedule } from '../../arm/types-scaling'
import { Details } from '../../frame/Details'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { Page, To, type Command } from '../../frame/Page'
import { Removal } from '../../frame/Removal'
import { go, href, useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import type { PageProps } from '..'
import { pageOf } from '../kinds'
import { schedulesPath } from './phases'
import { ScheduleForm } from './ScheduleForm'
import { Week } from './Week'

const t = portalTexts.scaling
const at = 'Microsoft.DesktopVirtualization/scalingPlans'

type Asked = { what: 'add' | 'delete' } | { what: 'edit'; schedule: Schedule } | null

export default function Plan({ id }: PageProps) {
  const known = useResource<ScalingPlan>(id)
  const may = useMay(id)
  const [tab] = useQuery('tab', 'schedules')
  const [asked, ask] = useState<Asked>(null)
  const p = known.data?.body
  const lacks = (action: string) => !may(`${at}/${action}`) && `${at}/${action}`
  const commands: Command[] = [
    { key: 'add', text: t.addSchedule, icon: <AddRegular />, primary: true, run: () => ask({ what: 'add' }), lacks: lacks('write') },
    { key: 'delete', text: portalTexts.frame.remove, icon: <DeleteRegular />, run: () => ask({ what: 'delete' }), lacks: lacks('delete') },
  ]
  const tabs = [{ key: 'schedules', text: t.schedules }, { key: 'pools', text: t.pools }]
  return (
    <Page title={parseID(id).name} under={t.plan} crumbs={[{ text: t.plans, to: href('scalingplans') }]} known={known} commands={commands} tabs={tabs}>
      {p && (
        <>
          <Details of={[[t.poolType, p.properties.hostPoolType], [t.timeZone, p.properties.timeZone], [t.exclusionTag, p.properties.exclusionTag], [t.group, parseID(id).group], [t.location, p.location]]} />
          {tab === 'schedules' && <Schedules plan={p} asked={asked} ask={ask} mayWrite={!lacks('write')} />}
          {tab === 'pools' && <Pools plan={p} etag={known.data?.etag ?? ''} mayWrite={!lacks('write')} />}
        </>
      )}
      {asked?.what === 'delete' && <Removal id={id} text={t.deleteText} gone={() => go(href('scalingplans'))} close={() => ask(null)} />}
    </Page>
  )
}

function Schedules({ plan, asked, ask, mayWrite }: { plan: ScalingPlan; asked: Asked; ask: (a: Asked) => void; mayWrite: boolean }) {
  const { arm, live } = useService()
  const type = plan.properties.hostPoolType
  const path = schedulesPath(plan.id, type)
  const list = useList<Schedule>(path)
  const remove = (s: Schedule) => void act(portalTexts.frame.deleting(s.name), () => arm.remove(s.id)).then(() => live.reload(path))
  const columns: Column<Schedule>[] = [
    { key: 'name', title: t.schedule, value: (s) => nameOf(s.id), rank: 1 },
    { key: 'days', title: t.days, value: (s) => s.properties.daysOfWeek.map((d) => t.dayNames[d] ?? d).join(', '), wide: 2, rank: 1 },
    {
      key: 'actions', title: t.actions, value: () => '', plain: true, rank: 1, wide: 0.7,
      cell: (s) =>
        mayWrite && (
          <>
            <Button size="small" appearance="subtle" icon={<EditRegular />} aria-label={t.editSchedule(nameOf(s.id))} onClick={() => ask({ what: 'edit', schedule: s })} />
            <Button size="small" appearance="subtle" icon={<DeleteRegular />} aria-label={portalTexts.frame.deleting(nameOf(s.id))} onClick={() => remove(s)} />
          </>
        ),
    },
  ]
  const taken = (but?: Schedule) => (list.data ?? []).filter((s) => s.id !== but?.id).flatMap((s) => s.properties.daysOfWeek)
  return (
    <>
      {list.data && list.data.length > 0 && <Week plan={parseID(plan.id).name} schedules={list.data} />}
      <Grid label={t.schedules} columns={columns} rows={list.data} id={(s) => s.id} empty={t.schedulesEmpty} noFilter name="schedules" />
      {asked?.what === 'add' && <ScheduleForm plan={plan.id} poolType={type} taken={taken()} close={() => ask(null)} />}
      {asked?.what === 'edit' && <ScheduleForm plan={plan.id} poolType={type} schedule={{ ...asked.schedule, name: nameOf(asked.schedule.id) }} taken={taken(asked.schedule)} close={() => ask(null)} />}
    </>
  )
}

function Pools({ plan, etag, mayWrite }: { plan: ScalingPlan; etag: string; mayWrite: boolean }) {
  const { arm, live, subscription } = useService()
  const all = useList<Resource<{ hostPoolType: string }>>(`/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization/hostPools`, pace.slow)
  const name = parseID(plan.id).name
  const references = plan.properties.hostPoolReferences
  const save = (title: string, next: PoolReference[]) => void act(title, () => arm.patch(plan.id, { properties: { hostPoolReferences: next } }, { ifMatch: etag })).then(() => live.reload(plan.id))
  const free = (all.data ?? []).filter((p) => p.properties.hostPoolType === plan.properties.hostPoolType && !references.some((r) => sameID(r.hostPoolArmPath, p.id)))
  const others = (r: PoolReference) => references.filter((x) => x !== r)
  const columns: Column<PoolReference>[] = [
    { key: 'pool', title: portalTexts.publish.pool, value: (r) => nameOf(r.hostPoolArmPath), cell: (r) => <To to={pageOf(r.hostPoolArmPath)}>{nameOf(r.hostPoolArmPath)}</To>, rank: 1 },
    {
      key: 'enabled', title: t.enabled, value: (r) => String(r.scalingPlanEnabled), rank: 1,
      cell: (r) => (
        <Switch
          checked={r.scalingPlanEnabled} disabled={!mayWrite} aria-label={`${t.enabled}: ${nameOf(r.hostPoolArmPath)}`}
          onChange={(_, d) => save(t.switching(name, nameOf(r.hostPoolArmPath)), [...others(r), { ...r, scalingPlanEnabled: d.checked }])}
        />
      ),
    },
    {
      key: 'actions', title: t.actions, value: () => '', plain: true, rank: 1, wide: 0.5,
      cell: (r) => mayWrite && <Button size="small" appearance="subtle" icon={<DeleteRegular />} aria-label={t.unassigning(name, nameOf(r.hostPoolArmPath))} onClick={() => save(t.unassigning(name, nameOf(r.hostPoolArmPath)), others(r))} />,
    },
  ]
  const tools = mayWrite && free.length > 0 && (
    <Select aria-label={t.addPool} value="" onChange={(_, d) => d.value && save(t.assigning(name, nameOf(d.value)), [...references, { hostPoolArmPath: d.value, scalingPlanEnabled: true }])}>
      <option value="">{t.addPool}</option>
      {free.map((p) => (
        <option key={p.id} value={p.id}>
          {nameOf(p.id)}
        </option>
      ))}
    </Select>
  )
  return <Grid label={t.pools} columns={columns} rows={references} id={(r) => r.hostPoolArmPath} empty={t.poolsEmpty} tools={tools} name="pools" />
}
