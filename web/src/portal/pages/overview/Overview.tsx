// The whole at a glance; each number leads to its list.
import { Body1Strong, Card, Link, Subtitle2, Text, makeStyles, tokens } from '@fluentui/react-components'
import type { ReactNode } from 'react'
import { clock, count } from '../../frame/format'
import { CommandButton, Page } from '../../frame/Page'
import { Status, toneOfHost } from '../../frame/Status'
import { href } from '../../router'
import { portalTexts } from '../../texts/en'
import { greatest, needsOf, sessionsIn, useSummary, type Summary } from './summary'

const t = portalTexts.overview

const useStyles = makeStyles({
  grid: { display: 'grid', gridTemplateColumns: 'repeat(auto-fill, minmax(min(100%, 260px), 1fr))', gap: tokens.spacingHorizontalM },
  card: { alignItems: 'flex-start' },
  number: { fontSize: tokens.fontSizeHero800, lineHeight: tokens.lineHeightHero800, fontWeight: tokens.fontWeightSemibold, fontVariantNumeric: 'tabular-nums' },
  lines: { listStyleType: 'none', margin: 0, padding: 0, width: '100%', display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalXS },
  line: { display: 'flex', justifyContent: 'space-between', gap: tokens.spacingHorizontalM, minHeight: '24px', alignItems: 'center' },
  value: { fontVariantNumeric: 'tabular-nums' },
  faint: { color: tokens.colorNeutralForeground2 },
})

export default function Overview() {
  const known = useSummary()
  const s = known.data
  return (
    <Page title={t.title} known={known} under={s && t.asOf(clock(s.asOf))}>
      {s && s.hostPools === 0 && <Begin />}
      {s && s.hostPools > 0 && <Counts summary={s} />}
    </Page>
  )
}

function Begin() {
  return (
    <section>
      <Subtitle2 as="h2" block>
        {t.begin}
      </Subtitle2>
      <Text block>{t.beginText}</Text>
      <CommandButton command={{ key: 'create', text: t.createPool, primary: true, to: href('hostpools-new') }} />
    </section>
  )
}

function Counts({ summary: s }: { summary: Summary }) {
  const styles = useStyles()
  return (
    <>
      <Needs summary={s} />
      <div className={styles.grid}>
        <Count title={t.hostPools} n={s.hostPools} to={href('hostpools')} />
        <Count title={t.sessionHosts} n={s.sessionHosts?.total} to={href('hosts')}>
          {s.sessionHosts && greatest(s.sessionHosts.byStatus).map(([status, n]) => <Line key={status} to={href('hosts', '', { status })} text={<Status tone={toneOfHost(status)}>{status}</Status>} n={n} />)}
          {s.sessionHosts && s.sessionHosts.drained > 0 && <Line to={href('hosts')} text={t.drained} n={s.sessionHosts.drained} />}
        </Count>
        <Count title={t.sessions} n={sessionsIn(s)} to={href('hosts', '', { order: '-sessions' })}>
          {s.userSessions && greatest(s.userSessions).map(([state, n]) => <Line key={state} to={href('hosts', '', { order: '-sessions' })} text={state} n={n} />)}
        </Count>
        <Count title={t.failingChecks} n={s.sessionHosts ? Object.values(s.sessionHosts.failingChecks).reduce((a, b) => a + b, 0) : undefined} to={href('hosts', '', { order: 'status' })}>
          {s.sessionHosts && greatest(s.sessionHosts.failingChecks).map(([check, n]) => <Line key={check} to={href('hosts', '', { filter: check })} text={check} n={n} />)}
        </Count>
        <Count title={t.deployments} n={s.deployments?.running} to={href('deployments')}>
          {s.deployments && <Line to={href('deployments', '', { filter: 'Running' })} text={t.running} n={s.deployments.running} />}
          {s.deployments && <Line to={href('deployments', '', { filter: 'Failed' })} text={t.failed} n={s.deployments.failedWithinADay} />}
        </Count>
        <Count title={t.keys} n={s.registrationKeys?.valid} to={href('hostpools')}>
          {s.registrationKeys && <Line to={href('hostpools')} text={t.day} n={s.registrationKeys.expiringWithinADay} />}
          {s.registrationKeys && <Line to={href('hostpools')} text={t.week} n={s.registrationKeys.expiringWithinAWeek} />}
          {s.registrationKeys && <Line to={href('hostpools')} text={t.expired} n={s.registrationKeys.expiredWithinADay} />}
        </Count>
      </div>
    </>
  )
}

/** What is wrong, before all numbers. */
function Needs({ summary }: { summary: Summary }) {
  const styles = useStyles()
  const needs = needsOf(summary)
  return (
    <section aria-label={t.wrong}>
      <Subtitle2 as="h2" block>
        {t.wrong}
      </Subtitle2>
      {needs.length === 0 ? (
        <Status tone="good">{t.allWell}</Status>
      ) : (
        <ul className={styles.lines}>
          {needs.map((n) => (
            <li key={n.text}>
              <Status tone={n.tone}>
                <Link href={n.to}>{n.text}</Link>
              </Status>
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}

/** One number with what it is made of; undefined where the person may not see it. */
function Count(p: { title: string; n: number | undefined; to: string; children?: ReactNode }) {
  const styles = useStyles()
  return (
    <Card className={styles.card} role="region" aria-label={p.title}>
      <Body1Strong as="h2">{p.title}</Body1Strong>
      {p.n === undefined ? (
        <Text className={styles.faint}>{t.mayNot}</Text>
      ) : (
        <Link href={p.to} className={styles.number} aria-label={`${p.title}: ${count(p.n)}`}>
          {count(p.n)}
        </Link>
      )}
      <ul className={styles.lines}>{p.children}</ul>
    </Card>
  )
}

function Line({ text, n, to }: { text: ReactNode; n: number; to: string }) {
  const styles = useStyles()
  return (
    <li className={styles.line}>
      <Link href={to}>{text}</Link>
      <span className={styles.value}>{count(n)}</span>
    </li>
  )
}
