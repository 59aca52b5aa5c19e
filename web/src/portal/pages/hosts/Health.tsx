// How a host is: its checks in words, and when its status changed.
import { Subtitle2 } from '@fluentui/react-components'
import { useList } from '../../arm/context'
import type { HealthCheck, SessionHost, StatusChange } from '../../arm/types-hosts'
import { relative } from '../../frame/format'
import { Grid, type Column } from '../../frame/Grid'
import { Stale } from '../../frame/Page'
import { Status, toneOfHost } from '../../frame/Status'
import { When } from '../../frame/When'
import { portalTexts } from '../../texts/en'

const t = portalTexts.hosts

/** What a check looks at, in words. */
export const checkInWords = (name: string) => t.checks[name] ?? name

const passes = (c: HealthCheck) => /succeeded/i.test(c.healthCheckResult)
const message = (c: HealthCheck) => c.additionalFailureDetails?.message ?? ''

const checks: Column<HealthCheck>[] = [
  { key: 'check', title: t.check, value: (c) => checkInWords(c.healthCheckName), cell: (c) => <span title={c.healthCheckName}>{checkInWords(c.healthCheckName)}</span>, wide: 1.4, rank: 1 },
  { key: 'result', title: t.result, value: (c) => (passes(c) ? t.passes : t.fails), cell: (c) => <Status tone={passes(c) ? 'good' : 'bad'} title={message(c)}>{passes(c) ? t.passes : t.fails}</Status>, wide: 0.7, rank: 1 },
  { key: 'remedy', title: t.remedy, value: message, cell: (c) => <span title={message(c)}>{message(c)}</span>, wide: 2.4, rank: 2 },
  { key: 'at', title: t.at, value: (c) => c.additionalFailureDetails?.lastHealthCheckDateTime ?? '', cell: (c) => relative(c.additionalFailureDetails?.lastHealthCheckDateTime ?? ''), rank: 3 },
]

const changes: Column<StatusChange>[] = [
  { key: 'at', title: t.changedAt, value: (c) => c.timestamp, cell: (c) => <When at={c.timestamp} />, rank: 1 },
  { key: 'status', title: t.status, value: (c) => c.status, cell: (c) => <Status tone={toneOfHost(c.status)} title={c.statusReason ?? ''}>{c.status}</Status>, rank: 1 },
  { key: 'why', title: t.reason, value: (c) => c.statusReason ?? '', cell: (c) => <span title={c.statusReason ?? ''}>{c.statusReason}</span>, wide: 3, rank: 2 },
]

export function Health({ host: h }: { host: SessionHost }) {
  const history = useList<StatusChange>(`${h.id}/statusHistory`)
  const results = h.properties.sessionHostHealthCheckResults ?? []
  return (
    <>
      {results.filter((c) => !passes(c)).map((c) => (
        <Status key={c.healthCheckName} tone="bad">
          {checkInWords(c.healthCheckName)}: {message(c)}
        </Status>
      ))}
      <Grid label={t.health} columns={checks} rows={results} id={(c) => c.healthCheckName} empty={t.noChecks} noFilter name="checks" />
      <Subtitle2 as="h2">{t.history}</Subtitle2>
      <Stale known={history} />
      <Grid label={t.history} columns={changes} rows={history.data} id={(c) => c.timestamp} empty={t.noHistory} noFilter name="history" />
    </>
  )
}
