// Fields of forms. Each has its name, its hint, and what the service found wrong with it.
import { Button, Checkbox, Field, Input, MessageBar, MessageBarBody, MessageBarTitle, Select, Switch, Textarea, makeStyles, tokens } from '@fluentui/react-components'
import type { ReactNode } from 'react'
import { portalTexts } from '../texts/en'
import type { Conflict, Values } from './form'

const t = portalTexts.frame

const useStyles = makeStyles({
  form: { display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalM, maxWidth: '40rem' },
  buttons: { display: 'flex', gap: tokens.spacingHorizontalS, flexWrap: 'wrap' },
  section: { border: 'none', margin: 0, minWidth: 0, padding: 0, display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalM },
  legend: { padding: 0, marginBottom: tokens.spacingVerticalXS, fontWeight: tokens.fontWeightSemibold, fontSize: tokens.fontSizeBase400 },
  bar: { marginBottom: tokens.spacingVerticalM },
})

interface Common {
  label: string
  hint?: string | undefined
  /** What is wrong with it. */
  error?: string | undefined
  required?: boolean
  disabled?: boolean
}

const field = (p: Common) => ({
  label: p.label, required: p.required ?? false, ...(p.hint ? { hint: p.hint } : {}), ...(p.error ? { validationMessage: p.error, validationState: 'error' as const } : {}),
})

export function TextField(p: Common & { value: string; change: (v: string) => void; type?: 'text' | 'password' | 'email' | 'url' | 'time' | 'date' | 'datetime-local'; placeholder?: string; autoComplete?: string }) {
  return (
    <Field {...field(p)}>
      <Input value={p.value} type={p.type ?? 'text'} disabled={p.disabled ?? false} autoComplete={p.autoComplete ?? 'off'} {...(p.placeholder ? { placeholder: p.placeholder } : {})} onChange={(_, d) => p.change(d.value)} />
    </Field>
  )
}

export function LongTextField(p: Common & { value: string; change: (v: string) => void; rows?: number; placeholder?: string; mono?: boolean }) {
  return (
    <Field {...field(p)}>
      <Textarea value={p.value} disabled={p.disabled ?? false} resize="vertical" rows={p.rows ?? 4} {...(p.placeholder ? { placeholder: p.placeholder } : {})} {...(p.mono ? { style: { fontFamily: tokens.fontFamilyMonospace } } : {})} onChange={(_, d) => p.change(d.value)} />
    </Field>
  )
}

/** A whole number; null while the field is empty. */
export function NumberField(p: Common & { value: number | null; change: (v: number | null) => void; min?: number; max?: number; unit?: string }) {
  return (
    <Field {...field(p)}>
      <Input
        type="number"
        value={p.value === null ? '' : String(p.value)}
        disabled={p.disabled ?? false}
        {...(p.min !== undefined ? { min: p.min } : {})}
        {...(p.max !== undefined ? { max: p.max } : {})}
        {...(p.unit ? { contentAfter: p.unit } : {})}
        onChange={(_, d) => p.change(d.value === '' ? null : Number(d.value))}
      />
    </Field>
  )
}

/** One of some; texts may be the same as values. */
export function SelectField(p: Common & { value: string; change: (v: string) => void; of: readonly (string | { value: string; text: string; disabled?: boolean })[]; none?: string }) {
  return (
    <Field {...field(p)}>
      <Select value={p.value} disabled={p.disabled ?? false} onChange={(_, d) => p.change(d.value)}>
        {p.none !== undefined && <option value="">{p.none}</option>}
        {p.of.map((o) => (typeof o === 'string' ? { value: o, text: o, disabled: false } : o)).map((o) => (
          <option key={o.value} value={o.value} disabled={o.disabled}>
            {o.text}
          </option>
        ))}
      </Select>
    </Field>
  )
}

export function SwitchField(p: Common & { value: boolean; change: (v: boolean) => void }) {
  const { label, ...rest } = field(p)
  return (
    <Field {...rest}>
      <Switch label={label} checked={p.value} disabled={p.disabled ?? false} onChange={(_, d) => p.change(d.checked)} />
    </Field>
  )
}

export function CheckField(p: Common & { value: boolean; change: (v: boolean) => void }) {
  const { label, required: _, ...rest } = field(p)
  return (
    <Field {...rest}>
      <Checkbox label={label} checked={p.value} disabled={p.disabled ?? false} onChange={(_, d) => p.change(d.checked === true)} />
    </Field>
  )
}

export function Form({ children, submit }: { children: ReactNode; submit?: () => void }) {
  const styles = useStyles()
  return (
    <form
      className={styles.form}
      noValidate
      onSubmit={(e) => {
        e.preventDefault()
        submit?.()
      }}
    >
      {children}
    </form>
  )
}

export function Section({ title, children }: { title: string; children: ReactNode }) {
  const styles = useStyles()
  return (
    <fieldset className={styles.section}>
      <legend className={styles.legend}>{title}</legend>
      {children}
    </fieldset>
  )
}

/** Save and discard, which are there only for something to save. */
export function SaveBar(p: { changed: boolean; saving: boolean; save: () => void; discard: () => void; lacks?: string | false }) {
  const styles = useStyles()
  return (
    <div className={styles.buttons}>
      <Button appearance="primary" disabledFocusable={!p.changed || p.saving || Boolean(p.lacks)} title={p.lacks ? t.needs(p.lacks) : undefined} onClick={p.save}>
        {t.save}
      </Button>
      <Button disabledFocusable={!p.changed || p.saving} onClick={p.discard}>
        {t.discard}
      </Button>
    </div>
  )
}

const shown = (v: unknown) => (typeof v === 'string' || typeof v === 'number' || typeof v === 'boolean' ? String(v) : JSON.stringify(v))

/** The values that two people changed, and whose stays. */
export function Conflicts<V extends Values>(p: { conflicts: Conflict<V>[]; label: (name: keyof V) => string; settle: (c: Conflict<V>, keep: 'mine' | 'theirs') => void }) {
  const styles = useStyles()
  if (p.conflicts.length === 0) return null
  return (
    <div role="alert">
      <MessageBar intent="warning" layout="multiline" className={styles.bar}>
        <MessageBarBody>
          <MessageBarTitle>{t.conflictTitle}</MessageBarTitle>
          {t.conflict}
          {p.conflicts.map((c) => (
            <div key={String(c.name)} className={styles.section}>
              <span>
                <b>{p.label(c.name)}</b> {t.mine}: {shown(c.mine)} / {t.theirs}: {shown(c.theirs)}
              </span>
              <div className={styles.buttons}>
                <Button size="small" onClick={() => p.settle(c, 'mine')}>
                  {t.keepMine}
                </Button>
                <Button size="small" onClick={() => p.settle(c, 'theirs')}>
                  {t.takeTheirs}
                </Button>
              </div>
            </div>
          ))}
        </MessageBarBody>
      </MessageBar>
    </div>
  )
}
