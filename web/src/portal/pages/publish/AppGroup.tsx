// One application group: its apps, to whom it is assigned, its names.
import { DeleteRegular } from '@fluentui/react-icons'
import { Select } from '@fluentui/react-components'
import { useState } from 'react'
import { pace, useList, useResource, useService } from '../../arm/context'
import { nameOf, parseID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { ApplicationGroup, Workspace } from '../../arm/types-publish'
import { Details } from '../../frame/Details'
import { Kept } from '../../frame/Kept'
import { act } from '../../frame/notifications'
import { Page, To, type Command } from '../../frame/Page'
import { Removal } from '../../frame/Removal'
import { Status } from '../../frame/Status'
import { go, href, useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import type { PageProps } from '..'
import { pageOf } from '../kinds'
import { ActivityList } from '../monitor/Activity'
import { Apps } from './Apps'
import { Assignments } from './Assignments'
import { NamesForm } from './NamesForm'
import { putInto } from './workspaces'

const t = portalTexts.publish
const at = 'Microsoft.DesktopVirtualization/applicationGroups'

export default function AppGroup({ id }: PageProps) {
  const known = useResource<ApplicationGroup>(id)
  const may = useMay(id)
  const [tab] = useQuery('tab', 'overview')
  const [removing, setRemoving] = useState(false)
  const g = known.data?.body
  const remote = g?.properties.applicationGroupType === 'RemoteApp'
  const commands: Command[] = [{ key: 'delete', text: portalTexts.frame.remove, icon: <DeleteRegular />, run: () => setRemoving(true), lacks: !may(`${at}/delete`) && `${at}/delete` }]
  const tabs = [
    { key: 'overview', text: t.overview },
    ...(remote ? [{ key: 'apps', text: t.apps }] : []),
    { key: 'assignments', text: t.assignments },
    { key: 'properties', text: t.properties },
    { key: 'activity', text: portalTexts.monitor.activity },
  ]
  return (
    <Page title={parseID(id).name} under={t.appGroup} crumbs={[{ text: t.appGroups, to: href('appgroups') }]} known={known} commands={commands} tabs={tabs}>
      {g && tab === 'overview' && <Overview group={g} />}
      {g && tab === 'apps' && <Apps group={id} />}
      {g && tab === 'assignments' && <Assignments scope={id} />}
      {known.data && (
        <Kept shown={tab === 'properties'}>
          <NamesForm path={id} known={known.data} lacks={!may(`${at}/write`) && `${at}/write`} inFeed />
        </Kept>
      )}
      {tab === 'activity' && <ActivityList resource={id} />}
      {removing && <Removal id={id} text={t.deleteGroup} gone={() => go(href('appgroups'))} close={() => setRemoving(false)} />}
    </Page>
  )
}

function Overview({ group: g }: { group: ApplicationGroup }) {
  const p = g.properties
  return (
    <Details
      of={[
        [t.type, t.types[p.applicationGroupType] ?? p.applicationGroupType],
        [t.pool, <To key="p" to={pageOf(p.hostPoolArmPath)}>{nameOf(p.hostPoolArmPath)}</To>],
        [t.workspace, p.workspaceArmPath ? <To key="w" to={pageOf(p.workspaceArmPath)}>{nameOf(p.workspaceArmPath)}</To> : <IntoWorkspace key="i" group={g.id} />],
        [t.friendlyName, p.friendlyName],
        [t.description, p.description],
        [t.group, parseID(g.id).group],
        [t.location, g.location],
      ]}
    />
  )
}

/** Says that the group is in no workspace, and puts it into one. */
function IntoWorkspace({ group }: { group: string }) {
  const { arm, live, subscription } = useService()
  const list = useList<Workspace>(`/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization/workspaces`, pace.slow)
  const may = useMay(group)
  const choose = (workspace: string) => void act(t.movingTo(nameOf(group), nameOf(workspace)), () => putInto(arm, workspace, group)).then(() => live.reload(group))
  return (
    <>
      <Status tone="warning">{t.noWorkspace}</Status>
      {may('Microsoft.DesktopVirtualization/workspaces/write') && list.data && list.data.length > 0 && (
        <Select aria-label={t.inWorkspace} value="" onChange={(_, d) => d.value && choose(d.value)}>
          <option value="">{t.inWorkspace}</option>
          {list.data.map((w) => (
            <option key={w.id} value={w.id}>
              {nameOf(w.id)}
            </option>
          ))}
        </Select>
      )}
    </>
  )
}
