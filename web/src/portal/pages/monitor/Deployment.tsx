// One deployment: what it made, step by step, what failed and why.
import { ArrowDownloadRegular, DeleteRegular, DismissRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { pace, useList, useResource, useService } from '../../arm/context'
import { ArmError } from '../../arm/errors'
import { parseID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { Resource } from '../../arm/types'
import type { Deployment as Body, DeploymentOperation } from '../../arm/types-monitor'
import { Code, Details, download } from '../../frame/Details'
import { Confirm } from '../../frame/Dialogs'
import { ErrorNotice } from '../../frame/ErrorNotice'
import { moment } from '../../frame/format'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { Page, To, type Command } from '../../frame/Page'
import { Status, toneOfState } from '../../frame/Status'
import { go, href, useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import type { PageProps } from '..'
import { pageOf } from '../kinds'
import { isoDuration } from './duration'

const t = portalTexts.monitor
const at = 'Microsoft.Resources/deployments'

const ended = (state: string) => ['succeeded', 'failed', 'canceled'].includes(state.toLowerCase())

/** Why a step failed. */
function messageOf(o: DeploymentOperation): string {
  const said = o.properties.statusMessage
  if (typeof said === 'string') return said
  return said?.error ? `${said.error.code}: ${said.error.message}` : ''
}

const columns: Column<DeploymentOperation>[] = [
  {
    key: 'resource', title: t.resource, value: (o) => o.properties.targetResource?.resourceName ?? o.properties.provisioningOperation, wide: 1.5, rank: 1,
    cell: (o) => (o.properties.targetResource ? <To to={pageOf(o.properties.targetResource.id)}>{o.properties.targetResource.resourceName}</To> : o.properties.provisioningOperation),
  },
  { key: 'type', title: portalTexts.search.type, value: (o) => o.properties.targetResource?.resourceType ?? '', wide: 2, rank: 3 },
  { key: 'state', title: t.state, value: (o) => o.properties.provisioningState, cell: (o) => <Status tone={toneOfState(o.properties.provisioningState)}>{o.properties.provisioningState}</Status>, rank: 1 },
  { key: 'message', title: t.message, value: messageOf, cell: (o) => <span title={messageOf(o)}>{messageOf(o)}</span>, wide: 3, rank: 2 },
  { key: 'duration', title: t.duration, value: (o) => isoDuration(o.properties.duration).seconds, cell: (o) => isoDuration(o.properties.duration).text, numeric: true, rank: 2 },
]

function useCommands(id: string, state: string, ask: (what: 'cancel' | 'delete') => void): Command[] {
  const { arm } = useService()
  const may = useMay(parseID(id).parent)
  const lacks = (action: string) => !may(`${at}/${action}`) && `${at}/${action}`
  const name = parseID(id).name
  const template = () =>
    void act(t.downloadTemplate, async () => {
      const body = await arm.post<{ template: unknown }>(`${id}/exportTemplate`)
      download(JSON.stringify(body.template, null, 2), `${name}.json`, 'application/json')
    })
  return [
    { key: 'cancel', text: t.cancel, icon: <DismissRegular />, run: () => ask('cancel'), disabled: ended(state), lacks: lacks('cancel/action') },
    { key: 'template', text: t.downloadTemplate, icon: <ArrowDownloadRegular />, run: template, lacks: lacks('exportTemplate/action') },
    { key: 'delete', text: t.deleteRecord, icon: <DeleteRegular />, run: () => ask('delete'), disabled: !ended(state), lacks: lacks('delete') },
  ]
}

export default function Deployment({ id }: PageProps) {
  const known = useResource<Resource<Body>>(id, pace.live)
  const [tab] = useQuery('tab', 'steps')
  const [asked, setAsked] = useState<'cancel' | 'delete' | null>(null)
  const d = known.data?.body.properties
  const name = parseID(id).name
  const commands = useCommands(id, d?.provisioningState ?? '', setAsked)
  const tabs = [{ key: 'steps', text: t.resources }, { key: 'parameters', text: t.parameters }, { key: 'outputs', text: t.outputs }]
  return (
    <Page title={name} under={t.deployment} crumbs={[{ text: t.deployments, to: href('deployments') }]} known={known} commands={commands} tabs={tabs}>
      {d && (
        <Details
          of={[
            [t.state, <Status key="s" tone={toneOfState(d.provisioningState)}>{d.provisioningState}</Status>],
            [t.time, moment(d.timestamp)],
            [t.duration, isoDuration(d.duration).text],
            [t.scope, parseID(id).group || t.subscriptionScope],
            [t.mode, d.mode],
            [t.correlation, d.correlationId],
          ]}
        />
      )}
      {d?.error && <ErrorNotice error={new ArmError(200, d.error.code, d.error.message, d.error.details ? { details: d.error.details } : {})} />}
      {tab === 'steps' && <Steps id={id} live={!d || !ended(d.provisioningState)} />}
      {d && tab === 'parameters' && <Code text={JSON.stringify(d.parameters ?? {}, null, 2)} label={t.parameters} />}
      {d && tab === 'outputs' && <Code text={JSON.stringify(d.outputs ?? {}, null, 2)} label={t.outputs} />}
      <Questions id={id} asked={asked} close={() => setAsked(null)} />
    </Page>
  )
}

function Steps({ id, live }: { id: string; live: boolean }) {
  const list = useList<DeploymentOperation>(`${id}/operations`, live ? pace.live : pace.slow)
  return <Grid label={t.resources} columns={columns} rows={list.data} id={(o) => o.operationId} empty={t.noSteps} name="steps" />
}

function Questions({ id, asked, close }: { id: string; asked: 'cancel' | 'delete' | null; close: () => void }) {
  const { arm, live } = useService()
  const name = parseID(id).name
  if (asked === 'cancel') {
    const run = () => void act(t.canceling(name), () => arm.post(`${id}/cancel`)).then(() => live.reload(id))
    return (
      <Confirm title={t.cancelTitle(name)} doIt={t.cancel} run={run} close={close}>
        {t.cancelText}
      </Confirm>
    )
  }
  if (asked === 'delete') {
    const run = () =>
      void act(t.deleting(name), () => arm.remove(id)).then((error) => {
        if (!error) go(href('deployments'))
      })
    return (
      <Confirm title={t.deleteTitle(name)} doIt={t.deleteRecord} run={run} close={close}>
        {t.deleteText}
      </Confirm>
    )
  }
  return null
}
