import { useState } from 'react'
import { pace, useList, useService } from '../../arm/context'
import { nameOf, parseID, sameID } from '../../arm/ids'
import { useGroups } from '../../arm/places'
import type { Resource } from '../../arm/types'
import type { Workspace } from '../../arm/types-publish'
import { Panel } from '../../frame/Dialogs'
import { SelectField, TextField } from '../../frame/Fields'
import { useFindings } from '../../frame/form'
import { act } from '../../frame/notifications'
import { portalTexts } from '../../texts/en'
import { putInto } from './workspaces'

const t = portalTexts.publish

/** The permission to make an application group. */
export const creates = 'Microsoft.DesktopVirtualization/applicationGroups/write'

/** Creates an application group beside its host pool, and puts it into a workspace if one is chosen. */
export function AppGroupForm({ close }: { close: () => void }) {
  const groups = useGroups(creates)
  const { arm, live, subscription } = useService()
  const root = `/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization`
  const pools = useList<Resource>(`${root}/hostPools`, pace.slow)
  const offered = pools.data?.filter((p) => groups.data?.some((g) => sameID(g.id, parseID(p.id).parent))) ?? []
  const workspaces = useList<Workspace>(`${root}/workspaces`, pace.slow)
  const [pool, setPool] = useState('')
  const [name, setName] = useState('')
  const [type, setType] = useState('Desktop')
  const [friendly, setFriendly] = useState('')
  const [workspace, setWorkspace] = useState('')
  const { show, finding } = useFindings()
  const run = async () => {
    const failed = await act(t.creating(name), async () => {
      const id = `${parseID(pool).parent}/providers/Microsoft.DesktopVirtualization/applicationGroups/${encodeURIComponent(name)}`
      const location = pools.data?.find((p) => p.id === pool)?.location
      await arm.put(id, { location, properties: { applicationGroupType: type, hostPoolArmPath: pool, ...(friendly ? { friendlyName: friendly } : {}) } }, { ifNoneMatch: '*' })
      if (workspace) await putInto(arm, workspace, id)
    })
    show(failed)
    live.reload('applicationGroups')
    return failed
  }
  return (
    <Panel title={t.createAppGroup} close={close} doIt={t.createAppGroup} run={run} disabled={!pool || !name}>
      <SelectField label={t.pool} value={pool} change={setPool} none="" required of={offered.map((p) => ({ value: p.id, text: nameOf(p.id) }))} error={finding('hostPoolArmPath')} />
      <TextField label={t.name} value={name} change={setName} required error={finding('name')} />
      <SelectField label={t.type} value={type} change={setType} of={Object.entries(t.types).map(([value, text]) => ({ value, text }))} error={finding('applicationGroupType')} />
      <TextField label={t.friendlyName} value={friendly} change={setFriendly} error={finding('friendlyName')} />
      <SelectField label={t.workspace} value={workspace} change={setWorkspace} none={portalTexts.frame.none} of={workspaces.data?.map((w) => ({ value: w.id, text: nameOf(w.id) })) ?? []} />
    </Panel>
  )
}
