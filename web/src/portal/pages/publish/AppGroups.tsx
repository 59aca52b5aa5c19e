// Application groups: what is published of a host pool.
import { AddRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { useList, useService } from '../../arm/context'
import { nameOf, parseID, sameID } from '../../arm/ids'
import { useGroups } from '../../arm/places'
import type { ApplicationGroup } from '../../arm/types-publish'
import { Grid, type Column } from '../../frame/Grid'
import { Page, To } from '../../frame/Page'
import { Status } from '../../frame/Status'
import { go, href } from '../../router'
import { portalTexts } from '../../texts/en'
import { pageOf } from '../kinds'
import { AppGroupForm, creates } from './AppGroupForm'

const t = portalTexts.publish

const columns: Column<ApplicationGroup>[] = [
  { key: 'name', title: t.name, value: (g) => parseID(g.id).name, cell: (g) => <To to={href('appgroup', g.id)}>{parseID(g.id).name}</To>, wide: 1.4, rank: 1 },
  { key: 'friendly', title: t.friendlyName, value: (g) => g.properties.friendlyName ?? '', rank: 3 },
  { key: 'type', title: t.type, value: (g) => t.types[g.properties.applicationGroupType] ?? g.properties.applicationGroupType, rank: 1 },
  { key: 'pool', title: t.pool, value: (g) => nameOf(g.properties.hostPoolArmPath), cell: (g) => <To to={pageOf(g.properties.hostPoolArmPath)}>{nameOf(g.properties.hostPoolArmPath)}</To>, rank: 2 },
  {
    key: 'workspace', title: t.workspace, value: (g) => (g.properties.workspaceArmPath ? nameOf(g.properties.workspaceArmPath) : t.noWorkspace), wide: 1.4, rank: 2,
    cell: (g) => (g.properties.workspaceArmPath ? <To to={pageOf(g.properties.workspaceArmPath)}>{nameOf(g.properties.workspaceArmPath)}</To> : <Status tone="warning">{t.noWorkspace}</Status>),
  },
  { key: 'group', title: t.group, value: (g) => parseID(g.id).group, rank: 3 },
]

/** The application groups of everything, or of one pool. */
export function AppGroupList({ pool = '' }: { pool?: string }) {
  const { subscription } = useService()
  const list = useList<ApplicationGroup>(`/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization/applicationGroups`)
  const rows = pool ? list.data?.filter((g) => sameID(g.properties.hostPoolArmPath, pool)) : list.data
  return <Grid label={t.appGroups} columns={columns} rows={rows} id={(g) => g.id} open={(g) => go(href('appgroup', g.id))} empty={t.appGroupsEmpty} name="groups" />
}

export default function AppGroups() {
  const { lacks } = useGroups(creates)
  const [creating, setCreating] = useState(false)
  const commands = [{ key: 'create', text: t.createAppGroup, icon: <AddRegular />, primary: true, run: () => setCreating(true), lacks }]
  return (
    <Page title={t.appGroups} commands={commands} fill>
      <AppGroupList />
      {creating && <AppGroupForm close={() => setCreating(false)} />}
    </Page>
  )
}
