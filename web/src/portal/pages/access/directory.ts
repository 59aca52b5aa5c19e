// The directory as the pages use it.
import { graph, type Arm } from '../../arm/arm'
import { pace, useLive, useService } from '../../arm/context'
import type { DirectoryObject, Group, User } from '../../arm/types-access'

export const usersPath = `${graph}/users?$top=999`
export const groupsPath = `${graph}/groups?$top=999`

/** Permissions that changes of the directory need, all of them at the tenant's root. */
export const needs = {
  users: 'Microsoft.Directory/users/write',
  deleteUsers: 'Microsoft.Directory/users/delete',
  passwords: 'Microsoft.Directory/users/password/write',
  groups: 'Microsoft.Directory/groups/write',
  deleteGroups: 'Microsoft.Directory/groups/delete',
  members: 'Microsoft.Directory/groups/members/write',
}

/** Somebody or some group that something can be assigned to. */
export interface Principal {
  id: string
  name: string
  /** The user principal name; empty for groups. */
  detail: string
  kind: 'User' | 'Group'
}

/** All users and groups. */
export async function principals(arm: Arm, signal?: AbortSignal): Promise<Principal[]> {
  const o = signal ? { signal } : {}
  const [users, groups] = await Promise.all([arm.list<User>(usersPath, o), arm.list<Group>(groupsPath, o)])
  return [
    ...users.map((u): Principal => ({ id: u.id, name: u.displayName, detail: u.userPrincipalName, kind: 'User' })),
    ...groups.map((g): Principal => ({ id: g.id, name: g.displayName, detail: '', kind: 'Group' })),
  ]
}

/** All users and groups, kept for a while. */
export function usePrincipals() {
  const { arm } = useService()
  return useLive('principals', (signal) => principals(arm, signal), pace.slow)
}

/** The names behind object ids; what is not in the directory any more has none. */
export async function namesOf(arm: Arm, ids: string[], signal: AbortSignal): Promise<Map<string, DirectoryObject>> {
  const found = new Map<string, DirectoryObject>()
  const each = [...new Set(ids)]
  for (let at = 0; at < each.length; at += 500) {
    const answer = await arm.post<{ value: DirectoryObject[] }>(`${graph}/directoryObjects/getByIds`, { ids: each.slice(at, at + 500) }, { signal })
    for (const o of answer.value) found.set(o.id, o)
  }
  return found
}
