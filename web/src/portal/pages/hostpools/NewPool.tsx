// Makes a host pool.
import { Button } from '@fluentui/react-components'
import { useState } from 'react'
import { pace, useList, useService } from '../../arm/context'
import { groupID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { Resource } from '../../arm/types'
import type { Location } from '../../arm/types-resources'
import { ErrorNotice } from '../../frame/ErrorNotice'
import { Form, SelectField, TextField } from '../../frame/Fields'
import { useForm } from '../../frame/form'
import { act } from '../../frame/notifications'
import { Page } from '../../frame/Page'
import { go, href } from '../../router'
import { portalTexts } from '../../texts/en'
import { PoolFields, bodyOf, freshPool } from './PoolFields'

const t = portalTexts.hostpools
const write = 'Microsoft.DesktopVirtualization/hostPools/write'
const anew = 'new'

export default function NewPool() {
  const { arm, live, subscription } = useService()
  const groups = useList<Resource>(`/subscriptions/${subscription}/resourceGroups`, pace.slow)
  const locations = useList<Location>(`/subscriptions/${subscription}/locations`, pace.once)
  const may = useMay(`/subscriptions/${subscription}`)
  const place = useForm({ group: '', newGroup: '', name: '', location: '' })
  const form = useForm(freshPool)
  const [busy, setBusy] = useState(false)
  const v = place.values
  const group = v.group === anew ? v.newGroup.trim() : v.group
  const run = async () => {
    setBusy(true)
    const scope = groupID(subscription, group)
    const id = `${scope}/providers/Microsoft.DesktopVirtualization/hostPools/${encodeURIComponent(v.name.trim())}`
    const location = v.location || locations.data?.[0]?.name
    const failed = await act(t.creating(v.name), async () => {
      const there = groups.data?.some((g) => g.name.toLowerCase() === group.toLowerCase())
      if (v.group === anew && !there) await arm.put(scope, { location })
      const values = form.values.hostPoolType === 'Personal' ? { ...bodyOf(form.values, 'Personal'), loadBalancerType: 'Persistent' } : bodyOf(form.values, 'Pooled')
      await arm.put(id, { location, properties: values }, { ifNoneMatch: '*' })
    })
    setBusy(false)
    form.show(failed)
    place.show(failed)
    live.reload('hostPools')
    if (failed) return
    place.reset()
    form.reset()
    setTimeout(() => go(href('hostpool', id))) // once nothing holds the page
  }
  const choices = [...(groups.data ?? []).map((g) => ({ value: g.name, text: g.name })), { value: anew, text: t.newGroupOption }]
  return (
    <Page title={t.create} crumbs={[{ text: t.pools, to: href('hostpools') }]}>
      <Form submit={() => void run()}>
        <ErrorNotice error={form.error} />
        <SelectField label={t.group} value={v.group} change={(x) => place.set('group', x)} none="" of={choices} required />
        {v.group === anew && <TextField label={t.newGroup} value={v.newGroup} change={(x) => place.set('newGroup', x)} required />}
        <TextField label={t.name} value={v.name} change={(x) => place.set('name', x)} required error={place.finding('name')} />
        <SelectField label={t.location} value={v.location} change={(x) => place.set('location', x)} of={locations.data?.map((l) => ({ value: l.name, text: l.displayName })) ?? []} error={place.finding('location')} />
        <PoolFields form={form} isNew />
        <div>
          <Button type="submit" appearance="primary" disabled={busy || !group || !v.name.trim() || form.values.maxSessionLimit === null || (may.known && !may(write))} title={may.known && !may(write) ? portalTexts.frame.needs(write) : undefined}>
            {t.create}
          </Button>
        </div>
      </Form>
    </Page>
  )
}
