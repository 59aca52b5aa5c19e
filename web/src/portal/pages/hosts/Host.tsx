// One session host: its status with each check, its sessions, its metrics, its console.
import { ArrowRepeatAllRegular, PersonAddRegular, PersonDeleteRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { pace, useResource } from '../../arm/context'
import { nameOf, parseID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { HostPool } from '../../arm/types-hostpools'
import type { SessionHost } from '../../arm/types-hosts'
import { Details } from '../../frame/Details'
import { moment, relative } from '../../frame/format'
import { Page, To, type Command } from '../../frame/Page'
import { Status, toneOfHost } from '../../frame/Status'
import { href, useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import type { PageProps } from '..'
import { ActivityList } from '../monitor/Activity'
import { need } from './actions'
import { AssignQuestion, type Assigning } from './Assign'
import { useHostCommands } from './Bulk'
import { Console } from './Console'
import { Health } from './Health'
import { Metrics } from './Metrics'
import { HostQuestion, type Asked } from './Questions'
import { Sessions } from './Sessions'

const t = portalTexts.hosts

const tabs = [
  { key: 'overview', text: t.overview }, { key: 'health', text: t.health }, { key: 'sessions', text: t.sessions }, { key: 'metrics', text: t.metrics }, { key: 'console', text: t.console },
  { key: 'activity', text: portalTexts.monitor.activity },
]

/** Whose a personal desktop is: to assign it, or to take it away. */
function useAssignment(h: SessionHost | undefined, mayWrite: boolean, ask: (what: Assigning) => void): Command[] {
  const pool = useResource<HostPool>(h ? parseID(h.id).parent : '', pace.slow)
  if (!h || pool.data?.body.properties.hostPoolType !== 'Personal') return []
  const lacks = !mayWrite && need.write
  const give = { key: 'assign', text: t.assign, icon: <PersonAddRegular />, run: () => ask('assign'), lacks }
  return h.properties.assignedUser ? [give, { key: 'unassign', text: t.unassign, icon: <PersonDeleteRegular />, run: () => ask('unassign'), lacks }] : [give]
}

export default function Host({ id }: PageProps) {
  const known = useResource<SessionHost>(id, pace.live)
  const may = useMay(parseID(id).parent)
  const [tab] = useQuery('tab', 'overview')
  const [asked, ask] = useState<Asked>(null)
  const [assigning, setAssigning] = useState<Assigning>(null)
  const h = known.data?.body
  const some = h ? [h] : []
  const machine = h?.properties.resourceId
  const ofHost = useHostCommands(some, ask, () => undefined).filter((c) => c.key !== (h?.properties.allowNewSession ? 'undrain' : 'drain'))
  const assignment = useAssignment(h, may(need.write), setAssigning)
  const commands: Command[] = [...ofHost, ...assignment, { key: 'replace', text: t.replace, icon: <ArrowRepeatAllRegular />, run: () => ask('replace'), disabled: !machine, lacks: !may(need.remove) && need.remove }]
  const pool = parseID(id).parent
  return (
    <Page title={nameOf(id)} under={h && <Status tone={toneOfHost(h.properties.status)}>{h.properties.status}</Status>} crumbs={[{ text: portalTexts.hostpools.pools, to: href('hostpools') }, { text: nameOf(pool), to: href('hostpool', pool, { tab: 'hosts' }) }]} known={known} commands={commands} tabs={tabs}>
      {h && tab === 'overview' && <Overview host={h} />}
      {h && tab === 'health' && <Health host={h} />}
      {tab === 'sessions' && <Sessions scope={id} />}
      {h && tab === 'metrics' && <Metrics host={h} />}
      {h && tab === 'console' && <Console host={h} />}
      {tab === 'activity' && <ActivityList resource={id} />}
      <HostQuestion asked={asked} hosts={some} close={() => ask(null)} done={() => undefined} />
      {h && <AssignQuestion asked={assigning} host={h} close={() => setAssigning(null)} />}
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
