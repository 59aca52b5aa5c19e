// Who has which role on what.
import { Button } from '@fluentui/react-components'
import { AddRegular, DeleteRegular } from '@fluentui/react-icons'
import { useMemo, useState } from 'react'
import { pace, useList, useService } from '../../arm/context'
import { parseID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { Resource } from '../../arm/types'
import type { RoleDefinition } from '../../arm/types-access'
import { Confirm, Panel } from '../../frame/Dialogs'
import { SelectField } from '../../frame/Fields'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { Page, To } from '../../frame/Page'
import { useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import { pageOf } from '../kinds'
import type { Principal } from './directory'
import { PrincipalPicker } from './PrincipalPicker'
import { assign, definitionsPath, rolesDelete, rolesWrite, useAssignments, type Assigned } from './roles'

const t = portalTexts.access

/** A scope as people call it. */
export function scopeText(scope: string): string {
  const r = parseID(scope)
  if (scope === '/') return t.everything
  return r.group || r.type.includes('.') && !r.type.endsWith('subscriptions') ? r.name : t.subscription
}

function columnsOf(mayRemove: boolean, remove: (a: Assigned) => void): Column<Assigned>[] {
  return [
    { key: 'who', title: t.who, value: (a) => `${a.who} ${a.detail}`, cell: (a) => <span title={a.detail}>{a.detail ? `${a.who} (${a.detail})` : a.who}</span>, wide: 2, rank: 1 },
    { key: 'kind', title: t.kind, value: (a) => t.kinds[a.kind] ?? a.kind, rank: 3 },
    { key: 'role', title: t.role, value: (a) => a.role, wide: 1.6, rank: 1 },
    { key: 'scope', title: t.scope, value: (a) => scopeText(a.scope), cell: (a) => (parseID(a.scope).group ? <To to={pageOf(a.scope)}>{scopeText(a.scope)}</To> : scopeText(a.scope)), rank: 2 },
    {
      key: 'actions', title: t.actions, value: () => '', plain: true, rank: 1, wide: 0.5,
      cell: (a) => mayRemove && <Button size="small" appearance="subtle" icon={<DeleteRegular />} aria-label={t.unassigning(a.role, a.who)} onClick={() => remove(a)} />,
    },
  ]
}

/** The assignments at a scope, with what to do about them. */
export function RoleList({ scope }: { scope: string }) {
  const { arm, live } = useService()
  const list = useAssignments(scope, 'all')
  const may = useMay(scope)
  const [removing, remove] = useState<Assigned | null>(null)
  const mayRemove = may(rolesDelete)
  const columns = useMemo(() => columnsOf(mayRemove, remove), [mayRemove])
  const run = (a: Assigned) => void act(t.unassigning(a.role, a.who), () => arm.remove(a.id)).then(() => live.reload('roleAssignments'))
  return (
    <>
      <Grid label={t.roles} columns={columns} rows={list.data} id={(a) => a.id} empty={t.rolesEmpty} />
      {removing && (
        <Confirm title={t.unassign} doIt={t.unassign} run={() => run(removing)} close={() => remove(null)}>
          {t.unassignText(removing.who, removing.role, scopeText(removing.scope))}
        </Confirm>
      )}
    </>
  )
}

export default function Roles() {
  const { subscription } = useService()
  const [scope] = useQuery('scope', `/subscriptions/${subscription}`)
  const [assigning, setAssigning] = useState(false)
  const may = useMay(scope)
  const commands = [{ key: 'assign', text: t.assign, icon: <AddRegular />, primary: true, run: () => setAssigning(true), lacks: !may(rolesWrite) && rolesWrite }]
  return (
    <Page title={t.roles} under={scopeText(scope)} commands={commands} fill>
      <RoleList scope={scope} />
      {assigning && <AssignForm scope={scope} close={() => setAssigning(false)} />}
    </Page>
  )
}

function AssignForm({ scope: first, close }: { scope: string; close: () => void }) {
  const { arm, live, subscription } = useService()
  const whole = `/subscriptions/${subscription}`
  const groups = useList<Resource>(`${whole}/resourceGroups`, pace.slow)
  const [scope, setScope] = useState(first)
  const roles = useList<RoleDefinition>(definitionsPath(scope), pace.slow)
  const [role, setRole] = useState('')
  const [who, choose] = useState<Principal | null>(null)
  const scopes = [...new Set([first, whole, ...(groups.data ?? []).map((g) => g.id)])]
  const chosen = roles.data?.find((r) => r.id === role)
  const run = async () => {
    if (!who || !chosen) return null
    const failed = await act(t.assigning(chosen.properties.roleName, who.name), () => assign(arm, scope, role, who))
    live.reload('roleAssignments')
    return failed
  }
  return (
    <Panel title={t.assign} close={close} doIt={t.assign} run={run} disabled={!who || !chosen}>
      <PrincipalPicker label={t.principal} chosen={who} choose={choose} />
      <SelectField label={t.role} value={role} change={setRole} none="" required hint={chosen?.properties.description} of={roles.data?.map((r) => ({ value: r.id, text: r.properties.roleName })) ?? []} />
      <SelectField label={t.scope} value={scope} change={setScope} of={scopes.map((s) => ({ value: s, text: scopeText(s) }))} />
    </Panel>
  )
}
