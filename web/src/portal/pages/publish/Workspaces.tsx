// Workspaces: what people see.
import { AddRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { useList, useService } from '../../arm/context'
import { parseID } from '../../arm/ids'
import { useGroups } from '../../arm/places'
import type { Workspace } from '../../arm/types-publish'
import { Panel } from '../../frame/Dialogs'
import { TextField } from '../../frame/Fields'
import { useFindings } from '../../frame/form'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { Page, To } from '../../frame/Page'
import { PlaceFields, usePlace } from '../../frame/Place'
import { go, href } from '../../router'
import { portalTexts } from '../../texts/en'

const t = portalTexts.publish
const write = 'Microsoft.DesktopVirtualization/workspaces/write'

const columns: Column<Workspace>[] = [
  { key: 'name', title: t.name, value: (w) => parseID(w.id).name, cell: (w) => <To to={href('workspace', w.id)}>{parseID(w.id).name}</To>, wide: 1.4, rank: 1 },
  { key: 'friendly', title: t.friendlyName, value: (w) => w.properties.friendlyName ?? '', rank: 1 },
  { key: 'groups', title: t.appGroups, value: (w) => w.properties.applicationGroupReferences?.length ?? 0, numeric: true, rank: 2 },
  { key: 'group', title: t.group, value: (w) => parseID(w.id).group, rank: 2 },
  { key: 'location', title: t.location, value: (w) => w.location ?? '', rank: 3 },
]

export default function Workspaces() {
  const { subscription } = useService()
  const list = useList<Workspace>(`/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization/workspaces`)
  const { lacks } = useGroups(write)
  const [creating, setCreating] = useState(false)
  const commands = [{ key: 'create', text: t.createWorkspace, icon: <AddRegular />, primary: true, run: () => setCreating(true), lacks }]
  return (
    <Page title={t.workspaces} known={list} commands={commands} fill>
      <Grid label={t.workspaces} columns={columns} rows={list.data} id={(w) => w.id} open={(w) => go(href('workspace', w.id))} empty={t.workspacesEmpty} />
      {creating && <WorkspaceForm close={() => setCreating(false)} />}
    </Page>
  )
}

function WorkspaceForm({ close }: { close: () => void }) {
  const { arm, live } = useService()
  const place = usePlace(write)
  const [friendly, setFriendly] = useState('')
  const { show, finding } = useFindings()
  const run = async () => {
    const failed = await act(t.creating(place.name), () =>
      arm.put(
        place.id('Microsoft.DesktopVirtualization/workspaces'),
        { location: place.location, properties: { ...(friendly ? { friendlyName: friendly } : {}) } }, { ifNoneMatch: '*' },
      ),
    )
    show(failed)
    live.reload('workspaces')
    return failed
  }
  return (
    <Panel title={t.createWorkspace} close={close} doIt={t.createWorkspace} run={run} disabled={!place.ready}>
      <PlaceFields place={place} finding={finding} />
      <TextField label={t.friendlyName} value={friendly} change={setFriendly} error={finding('friendlyName')} />
    </Panel>
  )
}
