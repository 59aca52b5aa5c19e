// Fields of the wizard, bound to what is typed under their own name. A finding of that
// name shows at the field and leads to it.
import type { ReactNode } from 'react'
import { CheckField, NumberField, SelectField, TextField } from '../../frame/Fields'
import { portalTexts } from '../../texts/en'
import { Choices } from './Choices'
import type { Draft, Field as Name, Secrets } from './draft'
import { useWizard } from './wizard'

const t = portalTexts.add

/** The names of the values of a type. */
type NamesOf<T> = { [K in keyof Draft]: Draft[K] extends T ? K : never }[keyof Draft]

interface Common<N> {
  name: N
  hint?: string | undefined
  required?: boolean
  disabled?: boolean
  /** What is wrong with it, as the page itself can tell. */
  error?: string | undefined
  /** In place of the field's own label. */
  label?: string
}

/** Marks the field that a finding's link leads to. */
export const At = ({ field, children }: { field: Name; children: ReactNode }) => <div data-field={field}>{children}</div>

/** Puts the keyboard's focus on a field of the shown tab. */
export function focusField(field: Name) {
  const at = document.querySelector(`[data-field="${field}"]`)
  at?.scrollIntoView({ block: 'center' })
  at?.querySelector<HTMLElement>('input:not(:disabled), select:not(:disabled), textarea, button')?.focus()
}

function useCommon<N extends Name>(p: Common<N>) {
  const w = useWizard()
  const labels: Record<string, string> = t.fields
  return { label: p.label ?? labels[p.name] ?? p.name, hint: p.hint, required: p.required ?? false, disabled: p.disabled ?? false, error: w.finding(p.name) ?? p.error }
}

export function BoundText(p: Common<NamesOf<string>> & { placeholder?: string; type?: 'text' | 'url' | 'email' }) {
  const w = useWizard()
  const common = useCommon(p)
  return (
    <At field={p.name}>
      <TextField {...common} {...(p.placeholder ? { placeholder: p.placeholder } : {})} {...(p.type ? { type: p.type } : {})} value={w.draft[p.name]} change={(v) => w.set({ [p.name]: v })} />
    </At>
  )
}

export function BoundSecret(p: Common<keyof Secrets>) {
  const w = useWizard()
  const common = useCommon(p)
  return (
    <At field={p.name}>
      <TextField {...common} type="password" autoComplete="new-password" value={w.secrets[p.name]} change={(v) => w.setSecret(p.name, v)} />
    </At>
  )
}

export function BoundNumber(p: Common<NamesOf<number | null>> & { min?: number; max?: number; unit?: string }) {
  const w = useWizard()
  const common = useCommon(p)
  return (
    <At field={p.name}>
      <NumberField {...common} {...(p.min !== undefined ? { min: p.min } : {})} {...(p.max !== undefined ? { max: p.max } : {})} {...(p.unit ? { unit: p.unit } : {})} value={w.draft[p.name]} change={(v) => w.set({ [p.name]: v })} />
    </At>
  )
}

/** One of some, by value and text; change may bring more along than the value itself. */
export function BoundSelect(p: Common<NamesOf<string>> & { of: readonly { value: string; text: string; disabled?: boolean }[]; none?: string; change?: (value: string) => Partial<Draft> }) {
  const w = useWizard()
  const common = useCommon(p)
  return (
    <At field={p.name}>
      <SelectField {...common} {...(p.none !== undefined ? { none: p.none } : {})} of={p.of} value={w.draft[p.name]} change={(v) => w.set(p.change ? p.change(v) : { [p.name]: v })} />
    </At>
  )
}

export function BoundCheck(p: Common<NamesOf<boolean>>) {
  const w = useWizard()
  const common = useCommon(p)
  return (
    <At field={p.name}>
      <CheckField {...common} value={w.draft[p.name]} change={(v) => w.set({ [p.name]: v })} />
    </At>
  )
}

/** Few choices that are all seen at once. */
export function BoundRadio(p: Common<NamesOf<string>> & { of: readonly { value: string; text: string; disabled?: boolean }[]; change?: (value: string) => Partial<Draft> }) {
  const w = useWizard()
  const { label, hint, error } = useCommon(p)
  return (
    <At field={p.name}>
      <Choices label={label} hint={hint} error={error} of={p.of} value={w.draft[p.name]} change={(v) => w.set(p.change ? p.change(v) : { [p.name]: v })} />
    </At>
  )
}

/** Choices from a table of texts. */
export const choicesOf = (texts: Record<string, string>, order?: readonly string[]) => (order ?? Object.keys(texts)).map((value) => ({ value, text: texts[value] ?? value }))
