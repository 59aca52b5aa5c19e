// What a host measures of itself: now, and over time.
import { Text } from '@fluentui/react-components'
import type { SessionHost } from '../../arm/types-hosts'
import { bytes, tenths } from '../../frame/format'
import { portalTexts } from '../../texts/en'
import { History, type PlotOf } from '../monitor/History'

const t = portalTexts.hosts
const percent = (v: number) => `${v.toFixed(0)} %`

const plots: PlotOf[] = [
  { title: t.cpu, metrics: { 'Percentage CPU': t.inUse }, most: 100, format: percent },
  { title: t.memory, metrics: { 'Available Memory Percentage': t.free }, most: 100, format: percent },
  { title: t.disk, metrics: { 'OS Disk Used Percentage': t.inUse }, most: 100, format: percent },
  { title: t.load, metrics: { 'Load Average': t.load }, format: (v) => v.toFixed(2) },
  { title: t.sessions, metrics: { 'Active Sessions': t.active, 'Disconnected Sessions': t.disconnected }, format: tenths },
  { title: t.roundTrip, metrics: { 'Round Trip Time': t.roundTrip }, format: (v) => `${v.toFixed(1)} ms` },
]

export function Metrics({ host }: { host: SessionHost }) {
  const m = host.properties.metrics
  return (
    <>
      <Text block>{m ? t.measured(m.cpuPercent.toFixed(0), bytes(m.memoryUsedBytes), bytes(m.memoryTotalBytes), bytes(m.diskUsedBytes), bytes(m.diskTotalBytes)) : t.noMetrics}</Text>
      <History of={host.id} plots={plots} />
    </>
  )
}
