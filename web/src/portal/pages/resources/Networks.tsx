// Virtual networks and network security groups.
import { AddRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { useList, useService } from '../../arm/context'
import { parseID } from '../../arm/ids'
import { useGroups } from '../../arm/places'
import type { SecurityGroup, VirtualNetwork } from '../../arm/types-resources'
import { Panel } from '../../frame/Dialogs'
import { Grid, type Column } from '../../frame/Grid'
import { Page, To } from '../../frame/Page'
import { go, href, useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import { NetworkForm, creates } from './NetworkForm'
import { RulesTable } from './Rules'

const t = portalTexts.resources

const networkColumns: Column<VirtualNetwork>[] = [
  { key: 'name', title: t.name, value: (n) => n.name, cell: (n) => <To to={href('network', n.id)}>{n.name}</To>, wide: 1.4, rank: 1 },
  { key: 'space', title: t.addressSpace, value: (n) => n.properties.addressSpace.addressPrefixes.join(', '), rank: 1 },
  { key: 'subnets', title: t.subnets, value: (n) => n.properties.subnets?.length ?? 0, numeric: true, rank: 2 },
  { key: 'group', title: t.group, value: (n) => parseID(n.id).group, rank: 2 },
  { key: 'location', title: t.location, value: (n) => n.location ?? '', rank: 2 },
]

const groupColumns: Column<SecurityGroup>[] = [
  { key: 'name', title: t.name, value: (g) => g.name, wide: 1.4, rank: 1 },
  { key: 'rules', title: t.rules, value: (g) => g.properties.securityRules?.length ?? 0, numeric: true, rank: 1 },
  { key: 'subnets', title: t.subnets, value: (g) => g.properties.subnets?.length ?? 0, numeric: true, rank: 2 },
  { key: 'interfaces', title: t.interfaces, value: (g) => g.properties.networkInterfaces?.length ?? 0, numeric: true, rank: 2 },
  { key: 'group', title: t.group, value: (g) => parseID(g.id).group, rank: 2 },
  { key: 'location', title: t.location, value: (g) => g.location ?? '', rank: 2 },
]

export default function Networks() {
  const { subscription } = useService()
  const [tab] = useQuery('tab', 'networks')
  const [creating, setCreating] = useState(false)
  const { lacks } = useGroups(creates)
  const root = `/subscriptions/${subscription}/providers/Microsoft.Network`
  const commands = [{ key: 'create', text: t.createNetwork, icon: <AddRegular />, primary: true, run: () => setCreating(true), lacks }]
  return (
    <Page title={t.networks} commands={commands} tabs={[{ key: 'networks', text: t.networks }, { key: 'groups', text: t.securityGroups }]} fill>
      {tab === 'groups' ? <SecurityGroups root={root} /> : <NetworkList root={root} />}
      {creating && <NetworkForm close={() => setCreating(false)} />}
    </Page>
  )
}

function NetworkList({ root }: { root: string }) {
  const list = useList<VirtualNetwork>(`${root}/virtualNetworks`)
  return <Grid label={t.networks} columns={networkColumns} rows={list.data} id={(n) => n.id} open={(n) => go(href('network', n.id))} empty={t.networksEmpty} />
}

function SecurityGroups({ root }: { root: string }) {
  const list = useList<SecurityGroup>(`${root}/networkSecurityGroups`)
  const [shown, setShown] = useState<SecurityGroup | null>(null)
  return (
    <>
      <Grid label={t.securityGroups} columns={groupColumns} rows={list.data} id={(g) => g.id} open={setShown} empty={t.securityGroupsEmpty} name="groups" />
      {shown && (
        <Panel title={shown.name} close={() => setShown(null)} wide>
          <RulesTable rules={[...(shown.properties.securityRules ?? []), ...(shown.properties.defaultSecurityRules ?? [])]} />
        </Panel>
      )}
    </>
  )
}
