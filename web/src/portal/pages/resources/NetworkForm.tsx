// Creates a virtual network with one subnet.
import { useState } from 'react'
import { pace, useList, useService } from '../../arm/context'
import type { ArmError } from '../../arm/errors'
import { finished } from '../../arm/poll'
import type { Resource } from '../../arm/types'
import type { Location } from '../../arm/types-resources'
import { Panel } from '../../frame/Dialogs'
import { SelectField, TextField } from '../../frame/Fields'
import { findingOf } from '../../frame/form'
import { act } from '../../frame/notifications'
import { portalTexts } from '../../texts/en'

const t = portalTexts.resources

/** Ranges as they are typed: set apart by commas or spaces. */
export const rangesOf = (text: string) => text.split(/[\s,]+/).filter(Boolean)

export function NetworkForm({ close }: { close: () => void }) {
  const { arm, live, subscription } = useService()
  const groups = useList<Resource>(`/subscriptions/${subscription}/resourceGroups`, pace.slow)
  const locations = useList<Location>(`/subscriptions/${subscription}/locations`, pace.once)
  const [group, setGroup] = useState('')
  const [location, setLocation] = useState('')
  const [name, setName] = useState('')
  const [space, setSpace] = useState('10.1.0.0/16')
  const [subnet, setSubnet] = useState('default')
  const [range, setRange] = useState('10.1.0.0/24')
  const [error, setError] = useState<ArmError | null>(null)
  const finding = (field: string) => (error ? findingOf(error.findings, field) : undefined)
  const run = async () => {
    const failed = await act(t.creating(name), async () => {
      const path = `${group}/providers/Microsoft.Network/virtualNetworks/${encodeURIComponent(name)}`
      const body = {
        location: location || locations.data?.[0]?.name,
        properties: { addressSpace: { addressPrefixes: rangesOf(space) }, subnets: [{ name: subnet, properties: { addressPrefix: range } }] },
      }
      await finished(arm, await arm.send('PUT', path, body, { ifNoneMatch: '*' }))
    })
    setError(failed)
    live.reload('virtualNetworks')
    return failed
  }
  return (
    <Panel title={t.createNetwork} close={close} doIt={t.createNetwork} run={run} disabled={!group || !name || !subnet}>
      <SelectField label={t.group} value={group} change={setGroup} none="" required of={groups.data?.map((g) => ({ value: g.id, text: g.name })) ?? []} />
      <TextField label={t.name} value={name} change={setName} required error={finding('name')} />
      <SelectField label={t.location} value={location} change={setLocation} of={locations.data?.map((l) => ({ value: l.name, text: l.displayName })) ?? []} error={finding('location')} />
      <TextField label={t.addressSpace} hint={t.addressSpaceHint} value={space} change={setSpace} required error={finding('addressPrefixes')} />
      <TextField label={t.subnet} value={subnet} change={setSubnet} required />
      <TextField label={t.subnetRange} hint={t.subnetHint} value={range} change={setRange} required error={finding('addressPrefix')} />
    </Panel>
  )
}
