// The RDP properties of a pool: fields for the known ones, and the text of all.
import { parseID } from '../../arm/ids'
import type { HostPool } from '../../arm/types-hostpools'
import { ErrorNotice } from '../../frame/ErrorNotice'
import { Conflicts, Form, LongTextField, SaveBar, Section, SelectField, TextField } from '../../frame/Fields'
import { useEdit } from '../../frame/form'
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
  const { properties, bad } = parse(text)
  const valueOf = (name: string) => properties.find((p) => p.name === name)?.value
  const set = (k: Known, value: string | undefined) => form.set('customRdpProperty', withProperty(text, k.name, k.type, value))
  const wrong = bad.length > 0 ? bad.map(t.rdpBad).join(' ') : form.finding('customRdpProperty')
  return (
    <Form submit={() => void save()}>
      <ErrorNotice error={form.error?.conflict ? null : form.error} />
      <Conflicts conflicts={conflicts} label={() => t.rdp} settle={settle} />
      {Object.entries(groups).map(([group, list]) => (
        <Section key={group} title={t.rdpGroups[group] ?? group}>
          {list.map((k) => (
            <PropertyField key={k.name} known={k} value={valueOf(k.name)} change={(v) => set(k, v)} disabled={Boolean(lacks) || bad.length > 0} />
          ))}
        </Section>
      ))}
      {others(text).length > 0 && (
        <Section title={t.rdpGroups['other'] ?? ''}>
          {others(text).map((p) => (
            <TextField key={p.name} label={`${p.name} (${p.type})`} value={p.value} change={(v) => form.set('customRdpProperty', withProperty(text, p.name, p.type, v))} disabled={Boolean(lacks) || bad.length > 0} />
          ))}
        </Section>
      )}
      <LongTextField label={t.rdpText} hint={t.rdpHint} value={text} change={(v) => form.set('customRdpProperty', v)} rows={5} mono error={wrong} disabled={Boolean(lacks)} />
      <SaveBar changed={form.changed.length > 0 && bad.length === 0} saving={saving} save={() => void save()} discard={form.reset} lacks={lacks} />
    </Form>
  )
}

function PropertyField({ known: k, value, change, disabled }: { known: Known; value: string | undefined; change: (v: string | undefined) => void; disabled: boolean }) {
  const label = t.rdpNames[k.name] ?? k.name
  if (!k.of) return <TextField label={label} value={value ?? ''} change={(v) => change(v === '' ? undefined : v)} disabled={disabled} placeholder={t.rdpOff} />
  const choices = Object.entries(k.of).map(([v, word]) => ({ value: v, text: t.rdpValues[word] ?? word }))
  const unknown = value !== undefined && !(value in k.of) ? [{ value, text: value }] : []
  return <SelectField label={label} value={value ?? ''} change={(v) => change(v === '' ? undefined : v)} none={t.rdpOff} of={[...choices, ...unknown]} disabled={disabled} />
}
