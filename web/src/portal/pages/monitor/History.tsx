// What a thing was like over time, by Azure Monitor's metrics, as plots.
import { makeStyles, tokens } from '@fluentui/react-components'
import { pace, useLive, useService } from '../../arm/context'
import { useMay } from '../../arm/permissions'
import type { Metric } from '../../arm/types-monitor'
import { Stale } from '../../frame/Page'
import { Plot, type Series } from '../../frame/Plot'
import { portalTexts } from '../../texts/en'
import { spans, useSpan } from './span'
import { SpanSelect } from './SpanSelect'

const t = portalTexts.monitor
const read = 'Microsoft.Insights/metrics/read'

/** The distance of points for each span: minutes are kept for a day. */
const intervals: Record<string, string> = { hour: 'PT1M', day: 'PT5M', week: 'PT1H', month: 'PT6H' }

const useStyles = makeStyles({
  grid: { display: 'grid', gridTemplateColumns: 'repeat(auto-fill, minmax(min(100%, 420px), 1fr))', gap: `${tokens.spacingVerticalL} ${tokens.spacingHorizontalXL}`, marginTop: tokens.spacingVerticalM },
  span: { maxWidth: '14rem' },
})

/** One plot: names of metrics, and what they are called. */
export interface PlotOf {
  title: string
  metrics: Record<string, string>
  most?: number
  format?: (value: number) => string
}

/** The points of a metric; null where nothing was measured. */
export const pointsOf = (metrics: readonly Metric[], name: string): Series['points'] =>
  metrics.find((m) => m.name.value === name)?.timeseries[0]?.data.map((p) => [Date.parse(p.timeStamp), p.average ?? null] as const) ?? []

export function History({ of, plots }: { of: string; plots: readonly PlotOf[] }) {
  const styles = useStyles()
  const { arm } = useService()
  const may = useMay(of)
  const { span, choose } = useSpan()
  const names = plots.flatMap((p) => Object.keys(p.metrics)).join(',')
  const known = useLive(
    may(read) ? `history of ${of}: ${span}` : '',
    async (signal) => {
      const until = Date.now()
      const since = until - (spans.find((s) => s.value === span)?.ms ?? spans[1].ms)
      const query = new URLSearchParams({ metricnames: names, interval: intervals[span] ?? 'PT5M', timespan: `${new Date(since).toISOString()}/${new Date(until).toISOString()}` })
      return (await arm.get<{ value: Metric[] }>(`${of}/providers/Microsoft.Insights/metrics?${query}`, { signal })).value
    },
    pace.slow,
  )
  if (may.known && !may(read)) return <>{portalTexts.frame.needs(read)}</>
  return (
    <section aria-label={t.history}>
      <Stale known={known} />
      <div className={styles.span}>
        <SpanSelect span={span} choose={choose} />
      </div>
      <div className={styles.grid}>
        {plots.map((p) => (
          <Plot key={p.title} title={p.title} series={Object.entries(p.metrics).map(([name, text]) => ({ name: text, points: pointsOf(known.data ?? [], name) }))} most={p.most ?? 0} {...(p.format ? { format: p.format } : {})} />
        ))}
      </div>
    </section>
  )
}
