// One workspace: the application groups that people see in it.
import { Button, Select } from '@fluentui/react-components'
import { DeleteRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { useList, useResource, useService } from '../../arm/context'
import { nameOf, parseID, sameID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { ApplicationGroup, Workspace as Body } from '../../arm/types-publish'
import { Code, Details } from '../../frame/Details'
import { Grid, type Column } from '../../frame/Grid'
import { Kept } from '../../frame/Kept'
import { act } from '../../frame/notifications'
import { Page, To, type Command } from '../../frame/Page'
import { Removal } from '../../frame/Removal'
import { go, href, useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import type { PageProps } from '..'
import { NamesForm } from './NamesForm'
import { putInto, takeOut } from './workspaces'

const t = portalTexts.publish
const at = 'Microsoft.DesktopVirtualization/workspaces'

export default function Workspace({ id }: PageProps) {
  const known = useResource<Body>(id)
  const may = useMay(id)
  const [tab] = useQuery('tab', 'overview')
  const [removing, setRemoving] = useState(false)
  const w = known.data?.body
  const commands: Command[] = [{ key: 'delete', text: portalTexts.frame.remove, icon: <DeleteRegular />, run: () => setRemoving(true), lacks: !may(`${at}/delete`) && `${at}/delete` }]
  return (
    <Page title={parseID(id).name} under={t.workspace} crumbs={[{ text: t.workspaces, to: href('workspaces') }]} known={known} commands={commands} tabs={[{ key: 'overview', text: t.overview }, { key: 'properties', text: t.properties }]}>
      {w && tab === 'overview' && (
        <>
          <Details of={[[t.friendlyName, w.properties.friendlyName], [t.description, w.properties.description], [t.group, parseID(id).group], [t.location, w.location], [t.addressHint, <Code key="a" text={location.origin} label={t.address} />]]} />
          <GroupsIn id={id} references={w.properties.applicationGroupReferences ?? []} mayWrite={may(`${at}/write`)} />
        </>
      )}
      {known.data && (
        <Kept shown={tab === 'properties'}>
          <NamesForm path={id} known={known.data} lacks={!may(`${at}/write`) && `${at}/write`} />
        </Kept>
      )}
      {removing && <Removal id={id} text={t.deleteWorkspace} gone={() => go(href('workspaces'))} close={() => setRemoving(false)} />}
    </Page>
  )
}

function GroupsIn({ id, references, mayWrite }: { id: string; references: string[]; mayWrite: boolean }) {
  const { arm, live, subscription } = useService()
  const all = useList<ApplicationGroup>(`/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization/applicationGroups`)
  const free = all.data?.filter((g) => !g.properties.workspaceArmPath) ?? []
  const then = (title: string, work: () => Promise<unknown>) =>
    void act(title, work).then(() => {
      live.reload(id)
      live.reload('applicationGroups')
    })
  const typeOf = (group: string) => all.data?.find((g) => sameID(g.id, group))?.properties.applicationGroupType ?? ''
  const columns: Column<string>[] = [
    { key: 'name', title: t.appGroup, value: nameOf, cell: (g) => <To to={href('appgroup', g)}>{nameOf(g)}</To>, rank: 1 },
    { key: 'type', title: t.type, value: (g) => t.types[typeOf(g)] ?? typeOf(g), rank: 1 },
    {
      key: 'actions', title: t.actions, value: () => '', plain: true, rank: 1, wide: 0.5,
      cell: (g) => mayWrite && <Button size="small" appearance="subtle" icon={<DeleteRegular />} aria-label={t.takeOut(nameOf(g), nameOf(id))} onClick={() => then(t.takeOut(nameOf(g), nameOf(id)), () => takeOut(arm, id, g))} />,
    },
  ]
  const tools = mayWrite && free.length > 0 && (
    <Select aria-label={t.addGroup} value="" onChange={(_, d) => d.value && then(t.movingTo(nameOf(d.value), nameOf(id)), () => putInto(arm, id, d.value))}>
      <option value="">{t.addGroup}</option>
      {free.map((g) => (
        <option key={g.id} value={g.id}>
          {nameOf(g.id)}
        </option>
      ))}
    </Select>
  )
  return <Grid label={t.groupsIn} columns={columns} rows={references} id={(g) => g} empty={t.groupsInEmpty} tools={tools} name="groups" />
}
