// Who connected, when, to which host, and what became of it; with a plot over time.
import { QuestionCircleRegular } from '@fluentui/react-icons'
import { useMemo, useState } from 'react'
import { pace, useList, useService } from '../../arm/context'
import { nameOf } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { Resource } from '../../arm/types'
import type { Connection } from '../../arm/types-monitor'
import { duration } from '../../frame/format'
import { Grid, type Column } from '../../frame/Grid'
import { Page, To } from '../../frame/Page'
import { Plot } from '../../frame/Plot'
import { Status, type Tone } from '../../frame/Status'
import { When } from '../../frame/When'
import { go, href } from '../../router'
import { portalTexts } from '../../texts/en'
import { useSpan } from './span'
import { SpanSelect } from './SpanSelect'
import { WhatIfPanel } from './WhatIf'

const t = portalTexts.monitor
const sessionsRead = 'Microsoft.DesktopVirtualization/hostPools/sessionHosts/userSessions/read'

/** So many of the newest connections are shown. */
const most = 2000

type Row = Resource<Connection>

/** How a connection's state is taken. */
export const toneOfConnection = (c: Connection): Tone => (c.failure && c.state === 'Failed' ? 'bad' : c.failure ? 'warning' : c.state === 'Connected' ? 'good' : c.state === 'Completed' ? 'off' : 'busy')

const lasted = (c: Connection) => ((c.endTime ? Date.parse(c.endTime) : Date.now()) - Date.parse(c.startTime)) / 1000

const columns: Column<Row>[] = [
  { key: 'time', title: t.began, value: (r) => r.properties.startTime, cell: (r) => <To to={href('connection', r.id)}><When at={r.properties.startTime} /></To>, rank: 1 },
  { key: 'user', title: t.user, value: (r) => r.properties.userPrincipalName, wide: 1.6, rank: 1 },
  { key: 'state', title: t.state, value: (r) => r.properties.state, cell: (r) => <Status tone={toneOfConnection(r.properties)}>{r.properties.state}</Status>, rank: 2 },
  { key: 'host', title: t.host, value: (r) => r.properties.sessionHostName ?? '', rank: 2 },
  { key: 'resource', title: t.resource, value: (r) => nameOf(r.properties.resourceId), rank: 3 },
  { key: 'why', title: t.why, value: (r) => r.properties.failure?.symbol ?? r.properties.endReason ?? '', wide: 1.6, rank: 2 },
  { key: 'lasted', title: t.duration, value: (r) => lasted(r.properties), cell: (r) => duration(lasted(r.properties)), numeric: true, rank: 3 },
]

/** The connections of all pools, or of one. */
export function ConnectionList({ scope, user = '' }: { scope: string; user?: string }) {
  const { span, since, choose } = useSpan()
  const query = new URLSearchParams({ startTime: since, ...(user ? { user } : {}) })
  const list = useList<Row>(`${scope}/connections?${query}`, pace.list, most)
  return (
    <>
      <PerHour rows={list.data} since={since} />
      <Grid label={t.connections} columns={columns} rows={list.data} id={(r) => r.id} open={(r) => go(href('connection', r.id))} empty={t.connectionsEmpty} tools={<SpanSelect span={span} choose={choose} />} name="connections" />
    </>
  )
}

/** Connections in steps of time, those that failed beside those that did not. */
export function perStep(rows: readonly Row[], from: number, to: number, steps = 48): { good: [number, number][]; failed: [number, number][] } {
  const size = (to - from) / steps
  const good: [number, number][] = Array.from({ length: steps }, (_, i) => [from + (i + 0.5) * size, 0])
  const failed: [number, number][] = good.map(([at]) => [at, 0])
  for (const r of rows) {
    const at = Math.min(Math.floor((Date.parse(r.properties.startTime) - from) / size), steps - 1)
    const bucket = (r.properties.state === 'Failed' ? failed : good)[at]
    if (bucket) bucket[1]++
  }
  return { good, failed }
}

function PerHour({ rows, since }: { rows: readonly Row[] | undefined; since: string }) {
  const steps = useMemo(() => perStep(rows ?? [], Date.parse(since), Date.now()), [rows, since])
  if (!rows || rows.length === 0) return null
  return <Plot title={t.connections} height={64} series={[{ name: t.goodSeries, points: steps.good }, { name: t.failedSeries, points: steps.failed }]} />
}

export default function Connections() {
  const { subscription } = useService()
  const [asked, setAsked] = useState(false)
  const may = useMay(`/subscriptions/${subscription}`)
  const scope = `/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization`
  const commands = [{ key: 'whatif', text: t.whatIf, icon: <QuestionCircleRegular />, run: () => setAsked(true), lacks: !may(sessionsRead) && sessionsRead }]
  return (
    <Page title={t.connections} commands={commands} fill>
      <ConnectionList scope={scope} />
      {asked && <WhatIfPanel scope={scope} close={() => setAsked(false)} />}
    </Page>
  )
}
