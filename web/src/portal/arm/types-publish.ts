// Shapes of application groups, applications and workspaces.
import type { Resource } from './types'

export type ApplicationGroup = Resource<{
  friendlyName: string | null
  description: string | null
  hostPoolArmPath: string
  applicationGroupType: string
  workspaceArmPath: string | null
  showInFeed: boolean | null
}>

export type Application = Resource<{
  friendlyName: string | null
  description: string | null
  filePath: string | null
  commandLineSetting: string
  commandLineArguments: string | null
  iconPath: string | null
  showInPortal: boolean | null
}>

export type Workspace = Resource<{
  friendlyName: string | null
  description: string | null
  applicationGroupReferences: string[]
}>
