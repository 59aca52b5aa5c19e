// A machine's serial console and screen.
import { Button, Subtitle2, makeStyles, tokens } from '@fluentui/react-components'
import { ArrowClockwiseRegular } from '@fluentui/react-icons'
import { ownPath } from '../../arm/arm'
import { pace, useLive, useService } from '../../arm/context'
import { nameOf } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { SessionHost } from '../../arm/types-hosts'
import { Code } from '../../frame/Details'
import { Stale } from '../../frame/Page'
import { portalTexts } from '../../texts/en'
import { hasMachine, need } from './actions'

const t = portalTexts.hosts

const useStyles = makeStyles({ screen: { maxWidth: '100%', border: `1px solid ${tokens.colorNeutralStroke2}` } })

interface Diagnostics {
  consoleScreenshotBlobUri?: string
  serialConsoleLogBlobUri?: string
}

export function Console({ host }: { host: SessionHost }) {
  const machine = host.properties.resourceId
  const may = useMay(machine ?? '')
  if (!machine || !hasMachine(host)) return <>{t.noConsole}</>
  if (may.known && !may(need.console)) return <>{portalTexts.frame.needs(need.console)}</>
  return may.known && <Shown machine={machine} />
}

function Shown({ machine }: { machine: string }) {
  const styles = useStyles()
  const { arm } = useService()
  const known = useLive(
    `console of ${machine}`,
    async (signal) => {
      const d = await arm.post<Diagnostics>(`${machine}/retrieveBootDiagnosticsData`, undefined, { signal })
      const log = d.serialConsoleLogBlobUri ? await fetch(ownPath(d.serialConsoleLogBlobUri), { signal, cache: 'no-store' }) : null
      return { screen: d.consoleScreenshotBlobUri ? ownPath(d.consoleScreenshotBlobUri) : '', log: log?.ok ? await log.text() : '' }
    },
    pace.once,
  )
  return (
    <>
      <Stale known={known} />
      {t.consoleHint}
      <div>
        <Button icon={<ArrowClockwiseRegular />} onClick={known.reload}>
          {t.look}
        </Button>
      </div>
      {known.data && (
        <>
          <Subtitle2 as="h2">{t.screenshot}</Subtitle2>
          {known.data.screen && <img className={styles.screen} src={known.data.screen} alt={`${t.screenshot}: ${nameOf(machine)}`} />}
          <Subtitle2 as="h2">{t.log}</Subtitle2>
          <Code text={known.data.log} label={t.log} />
        </>
      )}
    </>
  )
}
