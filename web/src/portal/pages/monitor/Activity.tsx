// The activity log: every write, every refusal, every retrieval of a registration key.
import { useMemo, useState } from 'react'
import { useList, useService, pace } from '../../arm/context'
import { nameOf } from '../../arm/ids'
import type { ActivityEvent } from '../../arm/types-monitor'
import { Code, Details } from '../../frame/Details'
import { Panel } from '../../frame/Dialogs'
import { moment } from '../../frame/format'
import { Grid, type Column } from '../../frame/Grid'
import { Page, To } from '../../frame/Page'
import { Status, toneOfState } from '../../frame/Status'
import { When } from '../../frame/When'
import { href, useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import { pageOf } from '../kinds'
import { operationInWords } from './operations'
import { useSpan } from './span'
import { SpanSelect } from './SpanSelect'

const t = portalTexts.monitor

/** So many of the newest events are shown. */
const most = 2000

const columns: Column<ActivityEvent>[] = [
  { key: 'time', title: t.time, value: (e) => e.eventTimestamp, cell: (e) => <When at={e.eventTimestamp} />, rank: 1 },
  { key: 'operation', title: t.operation, value: (e) => operationInWords(e.operationName.value), wide: 1.8, rank: 1 },
  { key: 'state', title: t.state, value: (e) => e.status.value, cell: (e) => <Status tone={toneOfState(e.status.value)}>{e.status.value}</Status>, rank: 2 },
  { key: 'resource', title: t.resource, value: (e) => nameOf(e.resourceId), cell: (e) => <To to={pageOf(e.resourceId)}>{nameOf(e.resourceId)}</To>, rank: 2 },
  { key: 'caller', title: t.caller, value: (e) => e.caller, wide: 1.4, rank: 3 },
]

/** The events of everything, or of one resource and what it holds. */
export function ActivityList({ resource }: { resource: string }) {
  const { subscription } = useService()
  const { span, since, choose } = useSpan()
  const [shown, setShown] = useState<ActivityEvent | null>(null)
  const filter = `eventTimestamp ge '${since}'` + (resource ? ` and resourceUri eq '${resource}'` : '')
  const path = `/subscriptions/${subscription}/providers/Microsoft.Insights/eventtypes/management/values?$filter=${encodeURIComponent(filter)}`
  const list = useList<ActivityEvent>(path, pace.list, most)
  return (
    <>
      <Grid label={t.activity} columns={columns} rows={list.data} id={(e) => e.eventDataId} open={setShown} empty={t.activityEmpty} tools={<SpanSelect span={span} choose={choose} />} name="activity" />
      {shown && <EventPanel event={shown} close={() => setShown(null)} />}
    </>
  )
}

function EventPanel({ event: e, close }: { event: ActivityEvent; close: () => void }) {
  const json = useMemo(() => JSON.stringify(e, null, 2), [e])
  return (
    <Panel title={operationInWords(e.operationName.value)} close={close} wide>
      <Details
        of={[
          [t.time, moment(e.eventTimestamp)],
          [t.action, e.operationName.value],
          [t.state, <Status key="s" tone={toneOfState(e.status.value)}>{`${e.status.value} ${e.subStatus.value}`}</Status>],
          [t.statusCode, e.subStatus.localizedValue],
          [t.caller, e.caller],
          [t.address, e.httpRequest.clientIpAddress],
          [t.correlation, e.correlationId],
          [t.resource, <To key="r" to={pageOf(e.resourceId)}>{e.resourceId}</To>],
          [t.message, e.properties.message],
        ]}
      />
      <Code text={json} label={t.json} />
    </Panel>
  )
}

export default function Activity() {
  const [resource] = useQuery('resource')
  const title = resource ? t.activityOf(nameOf(resource)) : t.activity
  const commands = resource ? [{ key: 'all', text: t.allActivity, to: href('activity') }] : []
  return (
    <Page title={title} commands={commands} fill>
      <ActivityList resource={resource} />
    </Page>
  )
}
