// Shapes of the directory and of role assignments.
import type { Resource } from './types'

export interface User {
  id: string
  displayName: string
  userPrincipalName: string
  mail: string | null
  accountEnabled: boolean
  createdDateTime: string
}

export interface Group {
  id: string
  displayName: string
  description: string | null
  createdDateTime?: string
}

/** A user, group or service principal, as members and memberships show it. */
export interface DirectoryObject {
  '@odata.type'?: string
  id: string
  displayName: string | null
  userPrincipalName?: string
}

export interface Method {
  '@odata.type': string
  id: string
  displayName?: string
  createdDateTime?: string
}

export type RoleAssignment = Resource<{ roleDefinitionId: string; principalId: string; principalType: string; scope: string; createdOn?: string }>

export type RoleDefinition = Resource<{ roleName: string; description: string; type: string; assignableScopes?: string[] }>
