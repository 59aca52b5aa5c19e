// A week's plot of a scaling plan: which phase holds when. The same as words for those who
// do not see it.
import { Caption1, makeStyles, mergeClasses, tokens } from '@fluentui/react-components'
import type { Schedule } from '../../arm/types-scaling'
import { portalTexts } from '../../texts/en'
import { days, phases, spansOf, type Span } from './phases'

const t = portalTexts.scaling

const useStyles = makeStyles({
  figure: { margin: 0 },
  grid: { display: 'grid', gridTemplateColumns: 'max-content 1fr', gap: `${tokens.spacingVerticalXS} ${tokens.spacingHorizontalM}`, alignItems: 'center' },
  day: { position: 'relative', height: '28px', backgroundColor: tokens.colorNeutralBackground3, borderRadius: tokens.borderRadiusMedium, overflow: 'hidden' },
  span: {
    position: 'absolute', top: 0, bottom: 0, padding: '0 2px', boxSizing: 'border-box', lineHeight: '28px', textAlign: 'center', overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap', fontSize: tokens.fontSizeBase200,
    borderLeft: `2px solid ${tokens.colorNeutralBackground1}`, color: tokens.colorNeutralForeground1,
  },
  rampUp: { backgroundColor: tokens.colorPaletteYellowBackground2 },
  peak: { backgroundColor: tokens.colorPaletteGreenBackground2 },
  rampDown: { backgroundColor: tokens.colorPaletteBlueBackground2 },
  offPeak: { backgroundColor: tokens.colorNeutralBackground5 },
  hours: { display: 'flex', justifyContent: 'space-between', color: tokens.colorNeutralForeground2 },
  key: { display: 'flex', flexWrap: 'wrap', gap: tokens.spacingHorizontalM, marginTop: tokens.spacingVerticalS },
  mark: { display: 'inline-block', width: '12px', height: '12px', verticalAlign: 'middle', marginInlineEnd: tokens.spacingHorizontalXS },
})

const time = (minutes: number) => `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`
const words = (s: Span) => `${t.phases[s.phase]} ${time(s.from)}–${time(s.to)}`

export function Week({ plan, schedules }: { plan: string; schedules: readonly Schedule[] }) {
  const styles = useStyles()
  return (
    <figure className={styles.figure} aria-label={t.weekOf(plan)}>
      <div className={styles.grid}>
        {days.map((day) => {
          const spans = spansOf(day, schedules)
          return [
            <Caption1 key={day}>{t.dayNames[day]}</Caption1>,
            <div key={day + 's'} className={styles.day} role="img" aria-label={`${day}: ${spans.map(words).join(', ') || t.nothing}`}>
              {spans.map((s) => (
                <div key={s.phase + s.from} className={mergeClasses(styles.span, styles[s.phase])} style={{ left: `${(s.from / 1440) * 100}%`, width: `${((s.to - s.from) / 1440) * 100}%` }} title={words(s)}>
                  {s.to - s.from >= 120 ? t.phases[s.phase] : ''}
                </div>
              ))}
            </div>,
          ]
        })}
        <span />
        <div className={styles.hours} aria-hidden>
          {[0, 6, 12, 18, 24].map((h) => (
            <Caption1 key={h}>{time(h * 60)}</Caption1>
          ))}
        </div>
      </div>
      <figcaption className={styles.key}>
        {phases.map((p) => (
          <Caption1 key={p}>
            <span className={mergeClasses(styles.mark, styles[p])} aria-hidden />
            {t.phases[p]}
          </Caption1>
        ))}
      </figcaption>
    </figure>
  )
}
