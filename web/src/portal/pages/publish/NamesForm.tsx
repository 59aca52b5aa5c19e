// The friendly name and description of what people see, edited under its etag.
import type { Resource } from '../../arm/types'
import { ErrorNotice } from '../../frame/ErrorNotice'
import { Conflicts, Form, LongTextField, SaveBar, SwitchField, TextField } from '../../frame/Fields'
import { useEdit } from '../../frame/form'
import { nameOf } from '../../arm/ids'
import { portalTexts } from '../../texts/en'

const t = portalTexts.publish

type Named = Resource<{ friendlyName: string | null; description: string | null; showInFeed?: boolean | null }>

interface Values extends Record<string, unknown> {
  friendlyName: string
  description: string
  showInFeed: boolean
}

interface Props {
  path: string
  known: { body: Named; etag: string }
  lacks: string | false
  /** Whether it can be left out of people's feed. */
  inFeed?: boolean
}

export function NamesForm({ path, known, lacks, inFeed = false }: Props) {
  const { form, save, saving, conflicts, settle } = useEdit<Named, Values>({
    path, known, title: t.saving(nameOf(path)),
    read: (r) => ({ friendlyName: r.properties.friendlyName ?? '', description: r.properties.description ?? '', showInFeed: r.properties.showInFeed ?? true }),
    write: (changed) => ({ properties: changed }),
  })
  const labels = { friendlyName: t.friendlyName, description: t.description, showInFeed: t.showInFeed }
  return (
    <Form submit={() => void save()}>
      <ErrorNotice error={form.error?.conflict ? null : form.error} />
      <Conflicts conflicts={conflicts} label={(name) => labels[name as keyof typeof labels]} settle={settle} />
      <TextField label={t.friendlyName} value={form.values.friendlyName} change={(v) => form.set('friendlyName', v)} error={form.finding('friendlyName')} disabled={Boolean(lacks)} />
      <LongTextField label={t.description} value={form.values.description} change={(v) => form.set('description', v)} error={form.finding('description')} disabled={Boolean(lacks)} />
      {inFeed && <SwitchField label={t.showInFeed} value={form.values.showInFeed} change={(v) => form.set('showInFeed', v)} disabled={Boolean(lacks)} />}
      <SaveBar changed={form.changed.length > 0} saving={saving} save={() => void save()} discard={form.reset} lacks={lacks} />
    </Form>
  )
}
