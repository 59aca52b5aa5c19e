import { Caption1, makeStyles, tokens } from '@fluentui/react-components'
import type { Failure } from '../api/types'
import { texts } from '../texts'

const useStyles = makeStyles({
  details: {
    margin: 0, display: 'grid', gridTemplateColumns: 'auto 1fr', columnGap: tokens.spacingHorizontalM, rowGap: tokens.spacingVerticalXS, textAlign: 'start',
    color: tokens.colorNeutralForeground2,
  },
  value: { margin: 0, overflowWrap: 'anywhere', userSelect: 'all' },
})

/** What an administrator asks for: the symbol and the correlation id. */
export function FailureDetails({ failure }: { failure: Failure }) {
  const styles = useStyles()
  const rows: [string, string | undefined][] = [
    [texts.reason, failure.symbol],
    [texts.correlation, failure.correlationId],
  ]
  return (
    <dl className={styles.details}>
      {rows.map(([label, value]) => value && (
        <Row key={label} label={label} value={value} className={styles.value} />
      ))}
    </dl>
  )
}

function Row(p: { label: string; value: string; className: string }) {
  return (
    <>
      <dt>
        <Caption1>{p.label}</Caption1>
      </dt>
      <dd className={p.className}>
        <Caption1>{p.value}</Caption1>
      </dd>
    </>
  )
}
