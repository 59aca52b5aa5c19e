// The RDP properties of a pool: fields for the known ones, and the text of all.
import { parseID } from '../../arm/ids'
import type { HostPool } from '../../arm/types-hostpools'
import { ErrorNotice } from '../../frame/ErrorNotice'
import { Conflicts, Form, LongTextField, SaveBar, Section, SelectField, TextField } from '../../frame/Fields'
import { useEdit } from '../../frame/form'
import { Warning } from '../../frame/Warning'
import { portalTexts } from '../../texts/en'
import { groups, others, parse, withProperty, type Known } from './rdp'

const t = portalTexts.hostpools

interface Values extends Record<string, unknown> {
  customRdpProperty: string
}

export function RdpEditor({ id, known, lacks }: { id: string; known: { body: HostPool; etag: string }; lacks: string | false }) {
  const { form, save, saving, conflicts, settle } = useEdit<HostPool, Values>({
    path: id, known, title: t.saving(parseID(id).name),
    read: (pool) => ({ customRdpProperty: pool.properties.customRdpProperty ?? '' }),
    write: (changed) => ({ properties: changed }),
  })
  const text = form.values.customRdpProperty
  return (
    <Form submit={() => void save()}>
      <ErrorNotice error={form.error?.conflict ? null : form.error} />
      <Conflicts conflicts={conflicts} label={() => t.rdp} settle={settle} />
      <RdpFields text={text} change={(v) => form.set('customRdpProperty', v)} error={form.finding('customRdpProperty')} disabled={Boolean(lacks)} />
      <SaveBar changed={form.changed.length > 0 && parse(text).bad.length === 0} saving={saving} save={() => void save()} discard={form.reset} lacks={lacks} />
    </Form>
  )
}

/** The fields of the known properties, and the text of all; while that is not understood, the fields wait. */
export function RdpFields({ text, change, error, disabled }: { text: string; change: (text: string) => void; error: string | undefined; disabled: boolean }) {
  const { properties, bad } = parse(text)
  const rest = others(text)
  const set = (name: string, type: string, value: string | undefined) => change(withProperty(text, name, type, value))
  const waits = disabled || bad.length > 0
  return (
    <>
      {bad.length > 0 && <Warning>{t.rdpWaits}</Warning>}
      {Object.entries(groups).map(([group, list]) => (
        <Section key={group} title={t.rdpGroups[group] ?? group}>
          {list.map((k) => (
            <PropertyField key={k.name} known={k} value={properties.find((p) => p.name === k.name)?.value} change={(v) => set(k.name, k.type, v)} disabled={waits} />
          ))}
        </Section>
      ))}
      {rest.length > 0 && (
        <Section title={t.rdpGroups['other'] ?? ''}>
          {rest.map((p) => (
            <TextField key={p.name} label={`${p.name} (${p.type})`} value={p.value} change={(v) => set(p.name, p.type, v)} disabled={waits} />
          ))}
        </Section>
      )}
      <LongTextField label={t.rdpText} hint={t.rdpHint} value={text} change={change} rows={5} mono error={bad.length > 0 ? bad.map(t.rdpBad).join(' ') : error} disabled={disabled} />
    </>
  )
}

function PropertyField({ known: k, value, change, disabled }: { known: Known; value: string | undefined; change: (v: string | undefined) => void; disabled: boolean }) {
  const label = t.rdpNames[k.name] ?? k.name
  if (!k.of) return <TextField label={label} value={value ?? ''} change={(v) => change(v === '' ? undefined : v)} disabled={disabled} placeholder={t.rdpOff} />
  const choices = Object.entries(k.of).map(([v, word]) => ({ value: v, text: t.rdpValues[word] ?? word }))
  const unknown = value !== undefined && !(value in k.of) ? [{ value, text: value }] : []
  return <SelectField label={label} value={value ?? ''} change={(v) => change(v === '' ? undefined : v)} none={t.rdpOff} of={[...choices, ...unknown]} disabled={disabled} />
}
