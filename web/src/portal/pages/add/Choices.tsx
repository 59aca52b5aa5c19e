// A few choices that are all seen at once, side by side where there is room.
import { Checkbox, Field, Label, Radio, RadioGroup, Text, makeStyles, tokens } from '@fluentui/react-components'
import { useId } from 'react'

const useStyles = makeStyles({
  row: { display: 'flex', flexDirection: 'row', flexWrap: 'wrap' },
  hint: { display: 'block', color: tokens.colorNeutralForeground3 },
  error: { display: 'block', color: tokens.colorPaletteRedForeground1 },
})

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

/** Any of a few. A Field would give all its checkboxes one id, so they stand in a group of their own. */
export function CheckChoices(p: { label: string; hint?: string; error?: string | undefined; of: readonly { value: string; text: string }[]; chosen: readonly string[]; change: (chosen: string[]) => void; required?: boolean }) {
  const styles = useStyles()
  const id = useId()
  return (
    <div role="group" aria-labelledby={id + 'l'} aria-describedby={id + 'd'}>
      <Label id={id + 'l'} required={p.required ?? false}>
        {p.label}
      </Label>
      <div className={styles.row}>
        {p.of.map((o) => (
          <Checkbox key={o.value} label={o.text} checked={p.chosen.includes(o.value)} onChange={(_, d) => p.change(d.checked ? [...p.chosen, o.value] : p.chosen.filter((x) => x !== o.value))} />
        ))}
      </div>
      <div id={id + 'd'}>
        {p.error && (
          <Text size={200} role="alert" className={styles.error}>
            {p.error}
          </Text>
        )}
        {p.hint && (
          <Text size={200} className={styles.hint}>
            {p.hint}
          </Text>
        )}
      </div>
    </div>
  )
}
