// Shapes of images, networks and locations.
import type { Resource } from './types'

export interface Subnet {
  id: string
  name: string
  properties: { addressPrefix?: string; addressPrefixes?: string[]; networkSecurityGroup?: { id: string } }
}

export type VirtualNetwork = Resource<{
  provisioningState: string
  addressSpace: { addressPrefixes: string[] }
  subnets?: Subnet[]
}>

export interface SecurityRule {
  name: string
  properties: {
    priority: number
    direction: string
    access: string
    protocol: string
    sourceAddressPrefix?: string
    sourceAddressPrefixes?: string[]
    destinationAddressPrefix?: string
    destinationAddressPrefixes?: string[]
    destinationPortRange?: string
    destinationPortRanges?: string[]
  }
}

export type SecurityGroup = Resource<{
  provisioningState: string
  securityRules?: SecurityRule[]
  defaultSecurityRules?: SecurityRule[]
  subnets?: { id: string }[]
  networkInterfaces?: { id: string }[]
}>

/** What is used of a quota, or of a subnet. */
export interface Usage {
  id?: string
  unit: string
  currentValue: number
  limit: number
  name: { value: string; localizedValue: string }
}

export interface Location {
  name: string
  displayName: string
}

export type CustomLocation = Resource<{ displayName?: string; hostResourceId?: string; namespace?: string; provisioningState?: string }>
