// A few choices that are all seen at once, side by side where there is room.
import { Field, Radio, RadioGroup, makeStyles } from '@fluentui/react-components'

const useStyles = makeStyles({ row: { display: 'flex', flexDirection: 'row', flexWrap: 'wrap' } })

interface Props {
  label: string
  hint?: string | undefined
  error?: string | undefined
  value: string
  change: (value: string) => void
  of: readonly { value: string; text: string; disabled?: boolean }[]
}

export function Choices(p: Props) {
  const styles = useStyles()
  return (
    <Field label={p.label} {...(p.hint ? { hint: p.hint } : {})} {...(p.error ? { validationMessage: p.error, validationState: 'error' as const } : {})}>
      <RadioGroup className={styles.row} value={p.value} onChange={(_, d) => p.change(d.value)}>
        {p.of.map((o) => (
          <Radio key={o.value} value={o.value} label={o.text} disabled={o.disabled ?? false} />
        ))}
      </RadioGroup>
    </Field>
  )
}
