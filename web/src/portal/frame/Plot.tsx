// A plot of values over time: lines, or columns for counts. Its figures are read aloud as a
// sentence and stand in a table for those who do not see it.
import { Caption1, makeStyles, tokens } from '@fluentui/react-components'
import { useId, useState, type PointerEvent } from 'react'
import { portalTexts } from '../texts/en'
import { clock } from './format'

const t = portalTexts.frame

export interface Series {
  name: string
  /** Time in milliseconds since 1970, and the value; null where there is none. */
  points: (readonly [at: number, value: number | null])[]
}

interface Props {
  title: string
  series: Series[]
  /** How a value is written. */
  format?: (value: number) => string
  /** The axis begins at 0 and ends here at least. */
  most?: number
  height?: number
}

const useStyles = makeStyles({
  whole: { margin: 0, minWidth: 0 },
  plot: { width: '100%', display: 'block', overflow: 'visible' },
  grid: { stroke: tokens.colorNeutralStroke2, strokeWidth: '1px', vectorEffect: 'non-scaling-stroke' },
  cursor: { stroke: tokens.colorNeutralStroke1, strokeWidth: '1px', vectorEffect: 'non-scaling-stroke' },
  line: { fill: 'none', strokeWidth: '2px', vectorEffect: 'non-scaling-stroke', strokeLinejoin: 'round' },
  axis: { display: 'flex', justifyContent: 'space-between', color: tokens.colorNeutralForeground2 },
  key: { display: 'flex', flexWrap: 'wrap', gap: `0 ${tokens.spacingHorizontalM}`, color: tokens.colorNeutralForeground2 },
  mark: { display: 'inline-block', width: '12px', height: '3px', verticalAlign: 'middle', marginInlineEnd: tokens.spacingHorizontalXS },
})

const colours = [tokens.colorBrandForeground1, tokens.colorPaletteMarigoldForeground2, tokens.colorPaletteBerryForeground2, tokens.colorPaletteGreenForeground2]
const width = 600

/** The parts of a line without holes, as SVG paths. */
export function paths(points: Series['points'], x: (at: number) => number, y: (v: number) => number): string {
  let pen = false
  return points
    .map(([at, v]) => {
      if (v === null) {
        pen = false
        return ''
      }
      const d = `${pen ? 'L' : 'M'}${x(at).toFixed(1)} ${y(v).toFixed(1)}`
      pen = true
      return d
    })
    .join('')
}

export function Plot({ title, series, format = String, most = 0, height = 120 }: Props) {
  const styles = useStyles()
  const id = useId()
  const [cursor, setCursor] = useState<number | null>(null)
  const all = series.flatMap((s) => s.points)
  const values = all.flatMap(([, v]) => (v === null ? [] : [v]))
  if (values.length === 0) {
    return (
      <figure className={styles.whole}>
        <figcaption>{title}</figcaption>
        <Caption1>{t.noData}</Caption1>
      </figure>
    )
  }
  const from = Math.min(...all.map(([at]) => at))
  const to = Math.max(...all.map(([at]) => at), from + 1)
  const top = Math.max(most, ...values) || 1
  const x = (at: number) => ((at - from) / (to - from)) * width
  const y = (v: number) => height - (v / top) * height
  const near = (s: Series, at: number) => s.points.reduce<Series['points'][number] | null>((best, p) => (p[1] !== null && (!best || Math.abs(p[0] - at) < Math.abs(best[0] - at)) ? p : best), null)
  const at = cursor ?? to
  const move = (e: PointerEvent<SVGSVGElement>) => {
    const box = e.currentTarget.getBoundingClientRect()
    setCursor(from + ((e.clientX - box.left) / box.width) * (to - from))
  }
  const text = series.map((s) => `${s.name} ${valueText(near(s, at)?.[1] ?? null, format)}`).join(', ')
  return (
    <figure className={styles.whole}>
      <figcaption id={id}>{title}</figcaption>
      <svg className={styles.plot} viewBox={`0 0 ${width} ${height}`} height={height} preserveAspectRatio="none" role="img" aria-label={t.plotOf(title, text)} onPointerMove={move} onPointerLeave={() => setCursor(null)}>
        {[0, 0.5, 1].map((part) => (
          <line key={part} className={styles.grid} x1={0} x2={width} y1={height * part} y2={height * part} />
        ))}
        {series.map((s, i) => (
          <path key={s.name} className={styles.line} d={paths(s.points, x, y)} style={{ stroke: colours[i % colours.length] }} />
        ))}
        {cursor !== null && <line className={styles.cursor} x1={x(cursor)} x2={x(cursor)} y1={0} y2={height} />}
      </svg>
      <div className={styles.axis}>
        <Caption1>{clock(from)}</Caption1>
        <Caption1>{format(top)}</Caption1>
        <Caption1>{clock(to)}</Caption1>
      </div>
      <div className={styles.key}>
        {cursor !== null && <Caption1>{clock(cursor)}</Caption1>}
        {series.map((s, i) => (
          <Caption1 key={s.name}>
            <span className={styles.mark} style={{ backgroundColor: colours[i % colours.length] }} aria-hidden />
            {s.name}: {valueText(near(s, at)?.[1] ?? null, format)}
          </Caption1>
        ))}
      </div>
    </figure>
  )
}

const valueText = (v: number | null, format: (v: number) => string) => (v === null ? '–' : format(v))
