// Creates a virtual network with one subnet.
import { useState } from 'react'
import { useService } from '../../arm/context'
import { finished } from '../../arm/poll'
import { Panel } from '../../frame/Dialogs'
import { TextField } from '../../frame/Fields'
import { useFindings } from '../../frame/form'
import { act } from '../../frame/notifications'
import { PlaceFields, usePlace } from '../../frame/Place'
import { portalTexts } from '../../texts/en'

const t = portalTexts.resources

/** The permission to make a virtual network. */
export const creates = 'Microsoft.Network/virtualNetworks/write'

/** Ranges as they are typed: set apart by commas or spaces. */
export const rangesOf = (text: string) => text.split(/[\s,]+/).filter(Boolean)

export function NetworkForm({ close }: { close: () => void }) {
  const { arm, live } = useService()
  const place = usePlace(creates)
  const [space, setSpace] = useState('10.1.0.0/16')
  const [subnet, setSubnet] = useState('default')
  const [range, setRange] = useState('10.1.0.0/24')
  const { show, finding } = useFindings()
  const run = async () => {
    const failed = await act(t.creating(place.name), async () => {
      const path = place.id('Microsoft.Network/virtualNetworks')
      const body = {
        location: place.location,
        properties: { addressSpace: { addressPrefixes: rangesOf(space) }, subnets: [{ name: subnet, properties: { addressPrefix: range } }] },
      }
      await finished(arm, await arm.send('PUT', path, body, { ifNoneMatch: '*' }))
    })
    show(failed)
    live.reload('virtualNetworks')
    return failed
  }
  return (
    <Panel title={t.createNetwork} close={close} doIt={t.createNetwork} run={run} disabled={!place.ready || !subnet}>
      <PlaceFields place={place} finding={finding} />
      <TextField label={t.addressSpace} hint={t.addressSpaceHint} value={space} change={setSpace} required error={finding('addressPrefixes')} />
      <TextField label={t.subnet} value={subnet} change={setSubnet} required />
      <TextField label={t.subnetRange} hint={t.subnetHint} value={range} change={setRange} required error={finding('addressPrefix')} />
    </Panel>
  )
}
