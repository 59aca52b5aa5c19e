// How the broker came to its answer: the rule, and each host with why it was passed over.
import type { Candidate, Decision } from '../../arm/types-monitor'
import { Details } from '../../frame/Details'
import { moment } from '../../frame/format'
import { Grid, type Column } from '../../frame/Grid'
import { Status } from '../../frame/Status'
import { portalTexts } from '../../texts/en'

const t = portalTexts.monitor

const columns: Column<Candidate>[] = [
  { key: 'host', title: t.host, value: (c) => c.host, rank: 1, wide: 1.4 },
  { key: 'sessions', title: t.sessions, value: (c) => c.sessions, numeric: true, rank: 1, wide: 0.7 },
  { key: 'passed', title: t.passedOver, value: (c) => c.passed ?? '', cell: (c) => (c.passed ? c.passed : <Status tone="good">{t.chosen}</Status>), wide: 3, rank: 1 },
]

export function DecisionView({ decision: d }: { decision: Decision }) {
  return (
    <>
      <Details of={[[t.rule, d.rule], [t.host, d.host], [t.why, d.reason], [t.considered, d.considered], [t.snapshot, moment(d.snapshot)]]} />
      {d.candidates && d.candidates.length > 0 && <Grid label={t.candidates} columns={columns} rows={d.candidates} id={(c) => c.host} noFilter name="candidates" />}
    </>
  )
}
