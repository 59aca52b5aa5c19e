// A run that adds session hosts, as it goes: host by host, step by step.
import { Button, MessageBar, MessageBarBody, MessageBarTitle, ProgressBar, makeStyles, tokens } from '@fluentui/react-components'
import { AddRegular, ArrowRepeatAllRegular, DismissRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { pace, useResource, useService } from '../../arm/context'
import { groupID, parseID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { HostProgress, RunProgress } from '../../arm/types-wizard'
import { CopyButton } from '../../frame/Details'
import { Confirm } from '../../frame/Dialogs'
import { duration } from '../../frame/format'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { Page, To, type Command } from '../../frame/Page'
import { Status } from '../../frame/Status'
import { href, useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import type { PageProps } from '..'
import { pageOf } from '../kinds'
import { adding } from './create'
import { Resume } from './Resume'
import { HostSteps } from './HostSteps'
import { ended, toneOfRun, toneOfStage } from './stages'

const t = portalTexts.add.run
const deployments = 'Microsoft.Resources/deployments'

const useStyles = makeStyles({
  bar: { marginTop: tokens.spacingVerticalXS },
  cell: { display: 'flex', alignItems: 'center', gap: tokens.spacingHorizontalXS, minWidth: 0 },
  text: { overflow: 'hidden', textOverflow: 'ellipsis' },
})

type Asked = 'cancel' | 'resume' | null

export default function Run({ id }: PageProps) {
  const known = useResource<RunProgress>(id, pace.live)
  const run = known.data?.body
  const pool = parseID(id).parent
  const [asked, ask] = useState<Asked>(null)
  const [host, show] = useQuery('host')
  const commands = useCommands(run, pool, ask)
  const chosen = run?.hosts.find((h) => h.name === host)
  return (
    <Page
      title={t.title(parseID(pool).name)} under={run ? <Status tone={toneOfRun(run.state)}>{t.states[run.state] ?? run.state}</Status> : t.run}
      crumbs={[{ text: portalTexts.add.hostPools, to: href('hostpools') }, { text: parseID(pool).name, to: href('hostpool', pool, { tab: 'additions' }) }]} known={known} commands={commands} fill
    >
      {run && <Overall run={run} />}
      {run && <Grid label={t.run} columns={columnsOf(show)} rows={run.hosts} id={(h) => h.name} open={(h) => show(h.name)} empty={t.empty} name="hosts" noFilter={run.hosts.length < 10} />}
      {run && chosen && <HostSteps run={run} host={chosen} close={() => show('')} />}
      {run && <Questions run={run} id={id} asked={asked} close={() => ask(null)} />}
    </Page>
  )
}

function useCommands(run: RunProgress | undefined, pool: string, ask: (what: Asked) => void): Command[] {
  const { subscription } = useService()
  const group = run ? groupID(subscription, parseID(run.deploymentId).group) : ''
  const may = useMay(group)
  const mayAdd = useMay(pool)
  const lacks = (action: string) => !may(`${deployments}/${action}`) && `${deployments}/${action}`
  const running = run?.state === 'Running'
  const behind = run?.state === 'Failed' || run?.state === 'Canceled'
  return [
    ...(behind ? [{ key: 'resume', text: t.resume, icon: <ArrowRepeatAllRegular />, primary: true, run: () => ask('resume'), lacks: lacks('write') }] : []),
    { key: 'cancel', text: t.cancel, icon: <DismissRegular />, run: () => ask('cancel'), disabled: !running, lacks: lacks('cancel/action') },
    { key: 'deployment', text: t.deployment, to: run ? pageOf(run.deploymentId) : '', disabled: !run },
    { key: 'more', text: t.more, icon: <AddRegular />, to: href('add', pool), lacks: !mayAdd(adding) && adding },
  ]
}

/** How the whole run stands. */
function Overall({ run }: { run: RunProgress }) {
  const styles = useStyles()
  const all = run.hosts.length || 1
  const ready = run.hosts.filter((h) => h.stage === 'Available').length
  const failed = run.state === 'Failed' || run.state === 'Canceled'
  const whole = run.hosts.reduce((n, h) => n + (ended(h.stage) ? 100 : h.percent), 0) / all / 100
  return (
    <div role="status">
      <MessageBar intent={failed ? 'error' : ready === run.hosts.length ? 'success' : 'info'} layout="multiline">
        <MessageBarBody>
          <MessageBarTitle>{run.summary}</MessageBarTitle>
          {ready === run.hosts.length && run.hosts.length > 0 && (
            <>
              {t.post} <To to={href('appgroups')}>{t.assign}</To>
            </>
          )}
        </MessageBarBody>
      </MessageBar>
      <ProgressBar className={styles.bar} value={whole} aria-label={t.columns.progress} color={failed ? 'error' : ready === run.hosts.length ? 'success' : 'brand'} />
    </div>
  )
}

function Detail({ host: h }: { host: HostProgress }) {
  const styles = useStyles()
  const text = h.detail ?? ''
  return (
    <span className={styles.cell}>
      <span className={styles.text} title={text}>
        {text}
      </span>
      {h.next && <CopyButton text={h.next} label={`${t.next}: ${h.next}`} />}
    </span>
  )
}

function columnsOf(show: (name: string) => void): Column<HostProgress>[] {
  return [
    { key: 'name', title: t.columns.name, value: (h) => h.name, cell: (h) => (h.sessionHostId ? <To to={pageOf(h.sessionHostId)}>{h.name}</To> : h.name), rank: 1 },
    { key: 'stage', title: t.columns.stage, value: (h) => h.percent, cell: (h) => <Status tone={toneOfStage(h.stage)}>{t.stages[h.stage] ?? h.stage}</Status>, rank: 1 },
    { key: 'progress', title: t.columns.progress, value: (h) => h.percent, cell: (h) => (h.stage === 'Failed' || h.stage === 'Canceled' ? '' : t.percent(h.percent)), numeric: true, wide: 0.6, rank: 2 },
    { key: 'time', title: t.columns.time, value: (h) => h.seconds, cell: (h) => duration(h.seconds), numeric: true, wide: 0.7, rank: 2 },
    { key: 'detail', title: t.columns.detail, value: (h) => h.detail ?? '', cell: (h) => <Detail host={h} />, wide: 3, rank: 2 },
    {
      key: 'open', title: t.columns.open, value: () => '', plain: true, rank: 1, wide: 0.6,
      cell: (h) => (
        <Button size="small" aria-label={t.showSteps(h.name)} onClick={() => show(h.name)}>
          {t.columns.open}
        </Button>
      ),
    },
  ]
}

function Questions({ run, id, asked, close }: { run: RunProgress; id: string; asked: Asked; close: () => void }) {
  const { arm, live } = useService()
  if (asked === 'resume') return <Resume run={run} id={id} close={close} />
  if (asked !== 'cancel') return null
  const cancel = () => void act(t.canceling(parseID(id).name), () => arm.post(`${run.deploymentId}/cancel`)).then(() => live.reload(id))
  return (
    <Confirm title={t.cancelTitle} doIt={t.cancel} run={cancel} close={close}>
      {t.cancelText}
    </Confirm>
  )
}
