// Shapes of host pools and registration keys.
import type { Resource } from './types'

export type HostPool = Resource<{
  friendlyName: string | null
  description: string | null
  hostPoolType: string
  personalDesktopAssignmentType: string | null
  loadBalancerType: string
  preferredAppGroupType: string
  maxSessionLimit: number
  validationEnvironment: boolean
  startVMOnConnect: boolean
  customRdpProperty: string | null
  registrationInfo: { expirationTime: string | null; token: string | null } | null
  applicationGroupReferences: string[] | null
}>

export interface RegistrationKey {
  id: string
  createdAt: string
  createdBy: string
  expirationTime: string
  state: string
  uses: number
  limits?: { run?: boolean; singleHost?: string }
  sessionHosts: string[]
}
