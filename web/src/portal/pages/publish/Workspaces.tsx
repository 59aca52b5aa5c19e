// Workspaces: what people see.
import { AddRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { pace, useList, useService } from '../../arm/context'
import type { ArmError } from '../../arm/errors'
import { parseID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { Resource } from '../../arm/types'
import type { Workspace } from '../../arm/types-publish'
import type { Location } from '../../arm/types-resources'
import { Panel } from '../../frame/Dialogs'
import { SelectField, TextField } from '../../frame/Fields'
import { findingOf } from '../../frame/form'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { Page, To } from '../../frame/Page'
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
  const may = useMay(`/subscriptions/${subscription}`)
  const [creating, setCreating] = useState(false)
  const commands = [{ key: 'create', text: t.createWorkspace, icon: <AddRegular />, primary: true, run: () => setCreating(true), lacks: !may(write) && write }]
  return (
    <Page title={t.workspaces} known={list} commands={commands} fill>
      <Grid label={t.workspaces} columns={columns} rows={list.data} id={(w) => w.id} open={(w) => go(href('workspace', w.id))} empty={t.workspacesEmpty} />
      {creating && <WorkspaceForm close={() => setCreating(false)} />}
    </Page>
  )
}

function WorkspaceForm({ close }: { close: () => void }) {
  const { arm, live, subscription } = useService()
  const groups = useList<Resource>(`/subscriptions/${subscription}/resourceGroups`, pace.slow)
  const locations = useList<Location>(`/subscriptions/${subscription}/locations`, pace.once)
  const [group, setGroup] = useState('')
  const [location, setLocation] = useState('')
  const [name, setName] = useState('')
  const [friendly, setFriendly] = useState('')
  const [error, setError] = useState<ArmError | null>(null)
  const run = async () => {
    const failed = await act(t.creating(name), () =>
      arm.put(
        `${group}/providers/Microsoft.DesktopVirtualization/workspaces/${encodeURIComponent(name)}`,
        { location: location || locations.data?.[0]?.name, properties: { ...(friendly ? { friendlyName: friendly } : {}) } }, { ifNoneMatch: '*' },
      ),
    )
    setError(failed)
    live.reload('workspaces')
    return failed
  }
  const finding = (field: string) => (error ? findingOf(error.findings, field) : undefined)
  return (
    <Panel title={t.createWorkspace} close={close} doIt={t.createWorkspace} run={run} disabled={!group || !name}>
      <SelectField label={t.group} value={group} change={setGroup} none="" required of={groups.data?.map((g) => ({ value: g.id, text: g.name })) ?? []} />
      <TextField label={t.name} value={name} change={setName} required error={finding('name')} />
      <SelectField label={t.location} value={location} change={setLocation} of={locations.data?.map((l) => ({ value: l.name, text: l.displayName })) ?? []} error={finding('location')} />
      <TextField label={t.friendlyName} value={friendly} change={setFriendly} error={finding('friendlyName')} />
    </Panel>
  )
}
