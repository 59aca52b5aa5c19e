// One virtual network: its subnets and how many of their addresses are in use.
import { AddRegular, DeleteRegular } from '@fluentui/react-icons'
import { Button } from '@fluentui/react-components'
import { useState } from 'react'
import { useList, useResource, useService } from '../../arm/context'
import { nameOf, parseID, sameID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import { finished } from '../../arm/poll'
import type { Subnet, Usage, VirtualNetwork } from '../../arm/types-resources'
import { Panel } from '../../frame/Dialogs'
import { Details } from '../../frame/Details'
import { TextField } from '../../frame/Fields'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { Page, type Command } from '../../frame/Page'
import { Removal } from '../../frame/Removal'
import { Status, toneOfState } from '../../frame/Status'
import { go, href } from '../../router'
import { portalTexts } from '../../texts/en'
import type { PageProps } from '..'

const t = portalTexts.resources
const at = 'Microsoft.Network/virtualNetworks'

type Asked = { what: 'subnet' } | { what: 'remove'; id: string; text: string } | null

export default function Network({ id }: PageProps) {
  const known = useResource<VirtualNetwork>(id)
  const usages = useList<Usage>(`${id}/usages`)
  const may = useMay(id)
  const [asked, ask] = useState<Asked>(null)
  const n = known.data?.body
  const lacks = (action: string) => !may(`${at}/${action}`) && `${at}/${action}`
  const commands: Command[] = [
    { key: 'add', text: t.addSubnet, icon: <AddRegular />, primary: true, run: () => ask({ what: 'subnet' }), lacks: lacks('subnets/write') },
    { key: 'delete', text: portalTexts.frame.remove, icon: <DeleteRegular />, run: () => ask({ what: 'remove', id, text: t.removeNetwork }), lacks: lacks('delete') },
  ]
  return (
    <Page title={parseID(id).name} under={t.network} crumbs={[{ text: t.networks, to: href('networks') }]} known={known} commands={commands}>
      {n && (
        <>
          <Details
            of={[
              [t.addressSpace, n.properties.addressSpace.addressPrefixes.join(', ')],
              [t.location, n.location],
              [t.group, parseID(id).group],
              [portalTexts.monitor.state, <Status key="s" tone={toneOfState(n.properties.provisioningState)}>{n.properties.provisioningState}</Status>],
            ]}
          />
          <Grid label={t.subnets} columns={columnsOf(usages.data ?? [], lacks('subnets/delete') === false, (s) => ask({ what: 'remove', id: s.id, text: t.removeSubnet }))} rows={n.properties.subnets ?? []} id={(s) => s.id} noFilter name="subnets" />
        </>
      )}
      <Question asked={asked} network={id} close={() => ask(null)} />
    </Page>
  )
}

function columnsOf(usages: Usage[], mayRemove: boolean, remove: (s: Subnet) => void): Column<Subnet>[] {
  const usage = (s: Subnet) => usages.find((u) => u.id && sameID(u.id, s.id))
  const used = (s: Subnet) => {
    const u = usage(s)
    return u ? t.usedOf(u.currentValue, u.limit) : ''
  }
  return [
    { key: 'name', title: t.subnet, value: (s) => s.name, rank: 1 },
    { key: 'range', title: t.subnetRange, value: (s) => s.properties.addressPrefix ?? s.properties.addressPrefixes?.join(', ') ?? '', rank: 1 },
    { key: 'used', title: t.addresses, value: (s) => usage(s)?.currentValue ?? 0, cell: used, rank: 2 },
    { key: 'group', title: t.securityGroup, value: (s) => (s.properties.networkSecurityGroup ? nameOf(s.properties.networkSecurityGroup.id) : t.noSecurityGroup), wide: 1.6, rank: 2 },
    {
      key: 'remove', title: t.actions, value: () => '', rank: 1, wide: 0.6, plain: true,
      cell: (s) => mayRemove && <Button size="small" appearance="subtle" icon={<DeleteRegular />} aria-label={portalTexts.frame.deleting(s.name)} onClick={() => remove(s)} />,
    },
  ]
}

function Question({ asked, network, close }: { asked: Asked; network: string; close: () => void }) {
  const { live } = useService()
  if (asked?.what === 'subnet') return <SubnetForm network={network} close={close} />
  if (asked?.what !== 'remove') return null
  const gone = () => (asked.id === network ? go(href('networks')) : live.reload(network))
  return <Removal id={asked.id} text={asked.text} gone={gone} close={close} />
}

function SubnetForm({ network, close }: { network: string; close: () => void }) {
  const { arm, live } = useService()
  const [name, setName] = useState('')
  const [range, setRange] = useState('')
  const run = async () => {
    const failed = await act(t.addingSubnet(name), async () => finished(arm, await arm.send('PUT', `${network}/subnets/${encodeURIComponent(name)}`, { properties: { addressPrefix: range.trim() } }, { ifNoneMatch: '*' })))
    live.reload(network)
    return failed
  }
  return (
    <Panel title={t.addSubnet} close={close} doIt={t.addSubnet} run={run} disabled={!name || !range}>
      <TextField label={t.name} value={name} change={setName} required />
      <TextField label={t.subnetRange} hint={t.subnetHint} value={range} change={setRange} required />
    </Panel>
  )
}
