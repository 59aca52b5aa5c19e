// What a host measures of itself, plotted from when the page was opened.
import { Caption1, makeStyles, tokens } from '@fluentui/react-components'
import { useEffect, useState } from 'react'
import type { HostMetrics, SessionHost } from '../../arm/types-hosts'
import { bytes } from '../../frame/format'
import { Plot } from '../../frame/Plot'
import { portalTexts } from '../../texts/en'

const t = portalTexts.hosts

/** So many measurements are kept. */
const most = 1200

type Sample = readonly [at: number, metrics: HostMetrics | null]

const useStyles = makeStyles({ grid: { display: 'grid', gridTemplateColumns: 'repeat(auto-fill, minmax(min(100%, 420px), 1fr))', gap: tokens.spacingHorizontalXL } })

export function MetricsPlots({ host, at }: { host: SessionHost; at: number }) {
  const styles = useStyles()
  const [samples, setSamples] = useState<Sample[]>([])
  const now = host.properties.metrics
  useEffect(() => setSamples((all) => [...all.slice(-most + 1), [at, now]]), [at, now])
  const series = (name: string, of: (m: HostMetrics) => number) => [{ name, points: samples.map(([when, m]) => [when, m ? of(m) : null] as const) }]
  if (!now && !samples.some(([, m]) => m)) return <>{t.noMetrics}</>
  return (
    <>
      <Caption1>{t.sinceOpen}</Caption1>
      <div className={styles.grid}>
        <Plot title={t.cpu} series={series(t.inUse, (m) => m.cpuPercent)} most={100} format={(v) => `${v.toFixed(0)} %`} />
        <Plot title={t.memory} series={series(t.inUse, (m) => m.memoryUsedBytes)} most={now?.memoryTotalBytes ?? 0} format={bytes} />
        <Plot title={t.disk} series={series(t.inUse, (m) => m.diskUsedBytes)} most={now?.diskTotalBytes ?? 0} format={bytes} />
        <Plot title={t.roundTrip} series={series(t.roundTrip, (m) => m.roundTripSeconds * 1000)} format={(v) => `${v.toFixed(1)} ms`} />
      </div>
    </>
  )
}
