// Shapes of adding session hosts: the wizard's parameters as the actions addSessionHosts
// and validateSessionHosts of a host pool take them, their answers, and runs.
import type { Resource } from './types'

/** One image: of the catalogue, or a row by its id. */
export interface ImageReference {
  id?: string
  publisher?: string
  offer?: string
  sku?: string
  version?: string
}

/** The body of both actions. What is left out is what the service presumes. */
export interface AddSessionHosts {
  basics: { resourceGroup?: string; namePrefix: string; virtualMachineType: string }
  virtualMachines: {
    numberOfVirtualMachines: number
    imageReference: ImageReference
    location?: string
    availabilityOption?: string
    availabilityZones?: string[]
    availabilitySetName?: string
    securityType?: string
    secureBoot?: boolean
    vTPM?: boolean
    integrityMonitoring?: boolean
    size?: string
    hibernate?: boolean
    osDiskType?: string
    osDiskSizeGB?: number
    confidentialComputeEncryption?: boolean
    bootDiagnostics?: string
    bootDiagnosticsStorageUri?: string
    customLocation?: string
    virtualProcessorCount?: number
    memoryType?: string
    memoryMB?: number
    minimumMemoryMB?: number
    maximumMemoryMB?: number
    targetMemoryBuffer?: number
  }
  network: { virtualNetwork?: string; subnet?: string; networkSecurityGroup?: string; networkSecurityGroupId?: string; publicInboundPorts?: number[]; logicalNetwork?: string }
  domainToJoin: { directory?: string; adDomainJoinUPN?: string; adDomainJoinPassword?: string; adDomainJoinConfirmPassword?: string; domain?: string; organizationalUnitPath?: string }
  virtualMachineAdministratorAccount: { username: string; password: string; confirmPassword?: string }
  customConfiguration: { scriptUrl?: string }
  tags?: Record<string, string>
  deploymentName?: string
  confirm?: { publicInboundPorts?: boolean }
}

/** What machines take. */
export interface RunResources {
  machines: number
  virtualProcessors: number
  memoryMB: number
  osDiskSizeGB: number
  addresses: number
}

/** What of it is free; null where nothing bounds it or nobody knows. */
export interface RunFree {
  machines: number | null
  virtualProcessors: number | null
  memoryMB: number | null
  addresses: number | null
}

/** The answer of both actions. */
export interface AddedSessionHosts {
  deploymentId?: string
  sessionHostNames: string[]
  warnings: string[]
  requires: { each: RunResources; total: RunResources; free: RunFree }
}

/** How far one host of a run is. */
export interface HostProgress {
  name: string
  stage: string
  percent: number
  detail?: string
  next?: string
  seconds: number
  virtualMachineId?: string
  sessionHostId?: string
}

/** A run, as sessionHostRuns shows it. */
export interface RunProgress {
  deploymentId: string
  state: string
  hosts: HostProgress[]
  summary: string
}

/** A run in the list of a pool's. */
export interface ListedRun {
  name: string
  deploymentId: string
  state: string
  sessionHostNames: string[]
  began: string
  ended?: string
}

export type PoolBasics = Resource<{
  hostPoolType: string
  loadBalancerType: string
  maxSessionLimit?: number
  validationEnvironment?: boolean
  preferredAppGroupType?: string
  startVMOnConnect?: boolean
}>

/** An entry of Microsoft.Compute/skus. */
export interface Sku {
  name: string
  resourceType: string
  locationInfo?: { location: string; zones?: string[] }[]
  capabilities?: { name: string; value: string }[]
}

/** A resource of a custom location. */
export type Stacked<P> = Resource<P> & { extendedLocation?: { name: string } }
