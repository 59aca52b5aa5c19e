// One host of a run: its stages, what the deployment made for it, and what to do next.
import { Text, makeStyles, tokens } from '@fluentui/react-components'
import { pace, useList } from '../../arm/context'
import { parseID } from '../../arm/ids'
import type { DeploymentOperation } from '../../arm/types-monitor'
import type { HostProgress, RunProgress } from '../../arm/types-wizard'
import { Code, Details } from '../../frame/Details'
import { Panel } from '../../frame/Dialogs'
import { duration } from '../../frame/format'
import { To } from '../../frame/Page'
import { Status, toneOfState, type Tone } from '../../frame/Status'
import { portalTexts } from '../../texts/en'
import { pageOf } from '../kinds'
import { isoDuration } from '../monitor/duration'
import { failedStage, standings, toneOfStage, type Standing } from './stages'

const t = portalTexts.add.run

const useStyles = makeStyles({
  list: { listStyleType: 'none', margin: 0, padding: 0, display: 'grid', rowGap: tokens.spacingVerticalS },
  hint: { display: 'block', color: tokens.colorNeutralForeground2, paddingInlineStart: '20px' },
  detail: { overflowWrap: 'anywhere' },
})

const tones: Record<Standing, Tone> = { done: 'good', current: 'busy', failedHere: 'bad', ahead: 'unknown' }

/** Whether a deployment's operation is about a host: its machine, interface, group or an extension. */
export function isOf(o: DeploymentOperation, host: string): boolean {
  const id = parseID(o.properties.targetResource?.id ?? '')
  const machine = /\/(?:virtualMachines|machines)\/([^/]+)/i.exec(id.id)?.[1] ?? id.name.replace(/-(nic|nsg)$/i, '')
  return machine.toLowerCase() === host.toLowerCase()
}

export function HostSteps({ run, host: h, close }: { run: RunProgress; host: HostProgress; close: () => void }) {
  const styles = useStyles()
  const operations = useList<DeploymentOperation>(`${run.deploymentId}/operations`, run.state === 'Running' ? pace.live : pace.slow)
  const mine = (operations.data ?? []).filter((o) => isOf(o, h.name))
  const parts = mine.map((o) => ({ type: o.properties.targetResource?.resourceType ?? '', state: o.properties.provisioningState }))
  return (
    <Panel title={t.steps(h.name)} close={close}>
      <Details
        of={[
          [t.columns.stage, <Status key="s" tone={toneOfStage(h.stage)}>{t.stages[h.stage] ?? h.stage}</Status>],
          [t.columns.time, duration(h.seconds)],
        ]}
      />
      {h.detail && <Text className={styles.detail}>{h.detail}</Text>}
      {h.next && (
        <section aria-label={t.next}>
          <Text weight="semibold">{t.next}</Text>
          <Code text={h.next} label={t.next} />
        </section>
      )}
      <ol className={styles.list}>
        {standings(h, failedStage(h, parts)).map(({ stage, standing }) => (
          <li key={stage} aria-current={standing === 'current' ? 'step' : undefined}>
            <Status tone={tones[standing]}>
              {t.stages[stage]}: {t[standing]}
            </Status>
            <Text size={200} className={styles.hint}>
              {t.stageHints[stage]}
            </Text>
          </li>
        ))}
      </ol>
      <Parts operations={mine} />
      <section aria-label={t.links}>
        <Details
          of={[
            [t.host, h.sessionHostId ? <To key="h" to={pageOf(h.sessionHostId)}>{h.name}</To> : ''],
            [t.machine, h.virtualMachineId ? <To key="m" to={pageOf(h.virtualMachineId)}>{parseID(h.virtualMachineId).name}</To> : ''],
            [t.deployment, <To key="d" to={pageOf(run.deploymentId)}>{parseID(run.deploymentId).name}</To>],
          ]}
        />
      </section>
    </Panel>
  )
}

/** The deployment's operations for one host, with how long each took. */
function Parts({ operations }: { operations: DeploymentOperation[] }) {
  const styles = useStyles()
  if (operations.length === 0) return null
  return (
    <section aria-label={t.parts}>
      <Text weight="semibold" block>
        {t.parts}
      </Text>
      <ul className={styles.list}>
        {operations.map((o) => (
          <li key={o.operationId}>
            <Status tone={toneOfState(o.properties.provisioningState)}>
              {o.properties.targetResource?.resourceName} ({o.properties.provisioningState})
            </Status>
            <Text size={200} className={styles.hint}>
              {o.properties.targetResource?.resourceType} {isoDuration(o.properties.duration).text}
            </Text>
          </li>
        ))}
      </ul>
    </section>
  )
}
