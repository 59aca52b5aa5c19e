// One session host: its status with each check, its sessions, its metrics, its console.
import { ArrowRepeatAllRegular, PersonAddRegular, PersonDeleteRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { pace, useResource, useService } from '../../arm/context'
import { nameOf, parseID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { HostPool } from '../../arm/types-hostpools'
import type { HealthCheck, SessionHost } from '../../arm/types-hosts'
import { Details } from '../../frame/Details'
import { Confirm } from '../../frame/Dialogs'
import { moment, relative } from '../../frame/format'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { Page, To, type Command } from '../../frame/Page'
import { Status, toneOfHost } from '../../frame/Status'
import { href, useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import type { PageProps } from '..'
import { ActivityList } from '../monitor/Activity'
import { need, replace } from './actions'
import { AssignForm } from './Assign'
import { HostQuestion, useHostCommands } from './Bulk'
import { Console } from './Console'
import { Metrics } from './Metrics'
import { Sessions } from './Sessions'

const t = portalTexts.hosts

const tabs = [
  { key: 'overview', text: t.overview }, { key: 'health', text: t.health }, { key: 'sessions', text: t.sessions }, { key: 'metrics', text: t.metrics }, { key: 'console', text: t.console },
  { key: 'activity', text: portalTexts.monitor.activity },
]

/** Whose a personal desktop is: to assign it, or to take it away. */
function useAssignment(h: SessionHost | undefined, mayWrite: boolean, ask: () => void): Command[] {
  const { arm, live } = useService()
  const pool = useResource<HostPool>(h ? parseID(h.id).parent : '', pace.slow)
  if (!h || pool.data?.body.properties.hostPoolType !== 'Personal') return []
  const lacks = !mayWrite && need.write
  const take = () => void act(t.unassigning(nameOf(h.id)), () => arm.patch(`${h.id}?force=true`, { properties: { assignedUser: '' } })).then(() => live.reload(h.id))
  const give = { key: 'assign', text: t.assign, icon: <PersonAddRegular />, run: ask, lacks }
  return h.properties.assignedUser ? [give, { key: 'unassign', text: t.unassign, icon: <PersonDeleteRegular />, run: take, lacks }] : [give]
}

export default function Host({ id }: PageProps) {
  const { arm } = useService()
  const known = useResource<SessionHost>(id, pace.live)
  const may = useMay(parseID(id).parent)
  const [tab] = useQuery('tab', 'overview')
  const [asked, ask] = useState<Parameters<Parameters<typeof useHostCommands>[1]>[0]>(null)
  const [replacing, setReplacing] = useState(false)
  const [assigning, setAssigning] = useState(false)
  const h = known.data?.body
  const some = h ? [h] : []
  const machine = h?.properties.resourceId
  const ofHost = useHostCommands(some, ask, () => undefined).filter((c) => c.key !== (h?.properties.allowNewSession ? 'undrain' : 'drain'))
  const assignment = useAssignment(h, may(need.write), () => setAssigning(true))
  const commands: Command[] = [...ofHost, ...assignment, { key: 'replace', text: t.replace, icon: <ArrowRepeatAllRegular />, run: () => setReplacing(true), disabled: !machine, lacks: !may(need.remove) && need.remove }]
  const pool = parseID(id).parent
  return (
    <Page title={nameOf(id)} under={h && <Status tone={toneOfHost(h.properties.status)}>{h.properties.status}</Status>} crumbs={[{ text: portalTexts.hostpools.pools, to: href('hostpools') }, { text: nameOf(pool), to: href('hostpool', pool, { tab: 'hosts' }) }]} known={known} commands={commands} tabs={tabs}>
      {h && tab === 'overview' && <Overview host={h} />}
      {h && tab === 'health' && <Checks checks={h.properties.sessionHostHealthCheckResults ?? []} />}
      {tab === 'sessions' && <Sessions host={id} />}
      {h && tab === 'metrics' && <Metrics host={h} />}
      {h && tab === 'console' && <Console host={h} />}
      {tab === 'activity' && <ActivityList resource={id} />}
      <HostQuestion asked={asked} hosts={some} close={() => ask(null)} done={() => undefined} />
      {assigning && <AssignForm host={id} close={() => setAssigning(false)} />}
      {h && replacing && (
        <Confirm title={`${t.replacing(nameOf(id))}?`} doIt={t.replace} type={nameOf(id)} run={() => void replace(arm, h)} close={() => setReplacing(false)}>
          {t.replaceText}
        </Confirm>
      )}
    </Page>
  )
}

function Overview({ host: h }: { host: SessionHost }) {
  const p = h.properties
  return (
    <Details
      of={[
        [t.status, <Status key="s" tone={toneOfHost(p.status)}>{p.status}</Status>],
        [t.reason, p.statusReason],
        [t.drain, p.allowNewSession ? t.notDraining : t.draining],
        [t.sessions, p.sessions],
        [t.heartbeat, p.lastHeartBeat ? `${relative(p.lastHeartBeat)} (${moment(p.lastHeartBeat)})` : ''],
        [t.assigned, p.assignedUser],
        [t.agent, p.agentVersion],
        [t.stack, p.sxSStackVersion],
        [t.update, p.updateState],
        [t.updated, p.lastUpdateTime ? moment(p.lastUpdateTime) : ''],
        [t.updateError, p.updateErrorMessage],
        [t.os, p.osVersion],
        [t.machine, p.resourceId && <To key="m" to={href('activity', '', { resource: p.resourceId })}>{nameOf(p.resourceId)}</To>],
        [t.pool, <To key="p" to={href('hostpool', parseID(h.id).parent)}>{nameOf(parseID(h.id).parent)}</To>],
      ]}
    />
  )
}

const good = (c: HealthCheck) => /succeeded/i.test(c.healthCheckResult)

const columns: Column<HealthCheck>[] = [
  { key: 'check', title: t.check, value: (c) => c.healthCheckName, rank: 1 },
  { key: 'result', title: t.result, value: (c) => c.healthCheckResult, cell: (c) => <Status tone={good(c) ? 'good' : 'bad'}>{c.healthCheckResult}</Status>, rank: 1 },
  { key: 'remedy', title: t.remedy, value: (c) => c.additionalFailureDetails?.message ?? '', cell: (c) => <span title={c.additionalFailureDetails?.message}>{c.additionalFailureDetails?.message}</span>, wide: 3, rank: 1 },
  { key: 'at', title: t.at, value: (c) => c.additionalFailureDetails?.lastHealthCheckDateTime ?? '', cell: (c) => relative(c.additionalFailureDetails?.lastHealthCheckDateTime ?? ''), rank: 3 },
]

function Checks({ checks }: { checks: HealthCheck[] }) {
  return <Grid label={t.health} columns={columns} rows={checks} id={(c) => c.healthCheckName} empty={t.noChecks} noFilter name="checks" />
}
