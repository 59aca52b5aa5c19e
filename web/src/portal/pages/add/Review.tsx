// Review + create: what passes, what it takes of what is left, and all that is deployed.
import { Button, MessageBar, MessageBarBody, MessageBarTitle, Spinner, Table, TableBody, TableCell, TableHeader, TableHeaderCell, TableRow, Text, makeStyles, tokens } from '@fluentui/react-components'
import type { AddedSessionHosts, RunFree, RunResources } from '../../arm/types-wizard'
import { ErrorNotice } from '../../frame/ErrorNotice'
import { count } from '../../frame/format'
import { Status } from '../../frame/Status'
import { Warning } from '../../frame/Warning'
import { useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import { tabs, type TabName } from './findings'
import { FindingList } from './FindingList'
import { Summary } from './Summary'
import { useWizard } from './wizard'

const t = portalTexts.add

const useStyles = makeStyles({
  passes: { display: 'flex', flexWrap: 'wrap', gap: tokens.spacingHorizontalL },
  table: { overflowX: 'auto', maxWidth: '56rem' },
  number: { textAlign: 'end', fontVariantNumeric: 'tabular-nums' },
})

export function Review() {
  const { check, found, passed, validate } = useWizard()
  const answer = passed ? check.answer : null
  return (
    <>
      <Outcome />
      {!check.busy && found.length > 0 && <FindingList />}
      {!check.busy && !passed && found.length === 0 && !check.error && (
        <Warning>
          {t.notNow}{' '}
          <Button size="small" onClick={validate}>
            {t.checkAgain}
          </Button>
        </Warning>
      )}
      <Passes />
      {answer && <Warnings answer={answer} />}
      {answer && <Cost answer={answer} />}
      <Summary />
    </>
  )
}

/** Whether validation passes, said to eyes and ears. */
function Outcome() {
  const { check, found, passed, validate } = useWizard()
  if (check.busy) return <Spinner size="small" labelPosition="after" label={t.checking} />
  const names = check.answer?.sessionHostNames ?? []
  return (
    <div role="status">
      {passed && (
        <MessageBar intent="success" layout="multiline">
          <MessageBarBody>
            <MessageBarTitle>{t.passed}</MessageBarTitle>
            {t.hosts(names.length, names.length > 4 ? `${names[0]} … ${names.at(-1)}` : names.join(', '))}
          </MessageBarBody>
        </MessageBar>
      )}
      {found.length > 0 && (
        <MessageBar intent="error" layout="multiline">
          <MessageBarBody>
            <MessageBarTitle>{t.failed(found.length)}</MessageBarTitle>
          </MessageBarBody>
        </MessageBar>
      )}
      {check.error && (
        <>
          <ErrorNotice error={check.error} />
          <Button onClick={validate}>{t.checkAgain}</Button>
        </>
      )}
    </div>
  )
}

/** Each tab with how it stands. */
function Passes() {
  const styles = useStyles()
  const { check, found } = useWizard()
  const [, go] = useQuery('tab', 'basics')
  if (check.busy || check.error || check.of === '') return null
  const of = (tab: TabName) => found.filter((f) => f.tab === tab).length
  return (
    <div className={styles.passes}>
      {tabs.filter((tab) => tab !== 'review').map((tab) => (
        <span key={tab}>
          <Status tone={of(tab) > 0 ? 'bad' : 'good'}>{of(tab) > 0 ? t.toCorrect(t.tabs[tab], of(tab)) : t.passes(t.tabs[tab])}</Status>{' '}
          {tab !== 'basics' && (
            <Button size="small" appearance="subtle" onClick={() => go(tab)}>
              {t.edit(t.tabs[tab])}
            </Button>
          )}
        </span>
      ))}
    </div>
  )
}

function Warnings({ answer }: { answer: AddedSessionHosts }) {
  if (answer.warnings.length === 0) return null
  return (
    <Warning title={t.warnings}>
      {answer.warnings.map((w) => (
        <Text key={w} block>
          {w}
        </Text>
      ))}
    </Warning>
  )
}

type What = keyof RunResources
const whats: What[] = ['machines', 'virtualProcessors', 'memoryMB', 'osDiskSizeGB', 'addresses']
const shown = (what: What, n: number) => (what === 'memoryMB' ? t.gib(n / 1024) : what === 'osDiskSizeGB' ? t.gib(n) : count(n))
const freeOf = (free: RunFree, what: What): number | null => (what === 'osDiskSizeGB' ? null : free[what])

/** What the run takes, against what is left. */
function Cost({ answer }: { answer: AddedSessionHosts }) {
  const styles = useStyles()
  const { each, total, free } = answer.requires
  const cells = (what: What): string[] => {
    if (what === 'addresses' && total.addresses === 0) return [t.byDhcp, '', '', '']
    const left = freeOf(free, what)
    return [shown(what, each[what]), shown(what, total[what]), left === null ? t.unbounded : shown(what, left), left === null ? '' : shown(what, left - total[what])]
  }
  return (
    <div className={styles.table} tabIndex={0} role="region" aria-label={t.cost}>
      <Text weight="semibold" size={400} as="h2">
        {t.cost}
      </Text>
      <Table size="small" aria-label={t.cost}>
        <TableHeader>
          <TableRow>
            {Object.entries(t.costColumns).map(([key, text]) => (
              <TableHeaderCell key={key}>{text}</TableHeaderCell>
            ))}
          </TableRow>
        </TableHeader>
        <TableBody>
          {whats.map((what) => (
            <TableRow key={what}>
              <TableCell>{t.costRows[what]}</TableCell>
              {cells(what).map((text, i) => (
                <TableCell key={i}>{text}</TableCell>
              ))}
            </TableRow>
          ))}
        </TableBody>
      </Table>
    </div>
  )
}
