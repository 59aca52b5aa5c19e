// Role assignments with the names of roles and principals.
import type { Arm } from '../../arm/arm'
import { pace, useLive, useService } from '../../arm/context'
import { nameOf, sameID } from '../../arm/ids'
import type { RoleAssignment, RoleDefinition } from '../../arm/types-access'
import { namesOf } from './directory'

/** Who has which role where. */
export interface Assigned {
  id: string
  role: string
  roleDefinitionId: string
  principalId: string
  who: string
  detail: string
  kind: string
  scope: string
}

export const rolesWrite = 'Microsoft.Authorization/roleAssignments/write'
export const rolesDelete = 'Microsoft.Authorization/roleAssignments/delete'

/** The role that lets users open what an application group publishes. */
export const desktopUserRole = '1d18fff3-a72a-46b5-b4a9-0b38a3cd7e63'

const at = (scope: string, what: string) => `${scope === '/' ? '' : scope}/providers/Microsoft.Authorization/${what}`

export const definitionsPath = (scope: string) => at(scope, 'roleDefinitions')

/** The assignments at a scope, above it and below it, or at the scope alone. */
export async function assignments(arm: Arm, scope: string, only: 'here' | 'all', signal: AbortSignal): Promise<Assigned[]> {
  const filter = only === 'here' ? '?$filter=atScope()' : ''
  const [list, roles] = await Promise.all([
    arm.list<RoleAssignment>(at(scope, 'roleAssignments') + filter, { signal }),
    arm.list<RoleDefinition>(definitionsPath(scope), { signal }),
  ])
  const shown = only === 'here' ? list.filter((a) => sameID(a.properties.scope, scope)) : list
  const names = await namesOf(arm, shown.map((a) => a.properties.principalId), signal).catch(() => new Map<string, never>())
  return shown.map((a) => {
    const who = names.get(a.properties.principalId)
    const role = roles.find((r) => nameOf(r.id) === nameOf(a.properties.roleDefinitionId))
    return {
      id: a.id, role: role?.properties.roleName ?? nameOf(a.properties.roleDefinitionId), roleDefinitionId: a.properties.roleDefinitionId, principalId: a.properties.principalId,
      who: who?.displayName ?? a.properties.principalId, detail: who?.userPrincipalName ?? '', kind: a.properties.principalType, scope: a.properties.scope,
    }
  })
}

/** Assignments, kept fresh. */
export function useAssignments(scope: string, only: 'here' | 'all') {
  const { arm } = useService()
  return useLive(scope ? `roleAssignments ${only} ${scope}` : '', (signal) => assignments(arm, scope, only, signal), pace.list)
}

/** Assigns a role to a principal at a scope. */
export function assign(arm: Arm, scope: string, roleDefinitionId: string, principal: { id: string; kind: string }): Promise<unknown> {
  const body = { properties: { roleDefinitionId, principalId: principal.id, principalType: principal.kind } }
  return arm.put(at(scope, `roleAssignments/${crypto.randomUUID()}`), body)
}
