// What an administrator types into the wizard. Each value has the name of the service's
// parameter, so that a finding's target names its field.
import { parseID } from '../../arm/ids'
import type { AddSessionHosts, ImageReference } from '../../arm/types-wizard'
import { tagsOf, type Tag } from '../../frame/tags'

/** The two kinds of machines. */
export const kinds = { azure: 'AzureVirtualMachine', stack: 'AzureStackHCIVirtualMachine' } as const

/** All that is typed, without secrets: it is kept for the browser's session. */
export interface Draft {
  /** The group's name. */
  resourceGroup: string
  namePrefix: string
  virtualMachineType: string

  location: string
  availabilityOption: string
  availabilityZones: string[]
  availabilitySetName: string
  securityType: string
  secureBoot: boolean
  vTPM: boolean
  integrityMonitoring: boolean
  imageReference: ImageReference | null
  size: string
  hibernate: boolean
  numberOfVirtualMachines: number | null
  osDiskType: string
  osDiskSizeGB: number
  confidentialComputeEncryption: boolean
  bootDiagnostics: string
  bootDiagnosticsStorageUri: string

  customLocation: string
  virtualProcessorCount: number | null
  memoryType: string
  /** Gigabytes, as the wizard asks for them. */
  memoryMB: number | null
  minimumMemoryMB: number | null
  maximumMemoryMB: number | null
  targetMemoryBuffer: number | null
  logicalNetwork: string

  virtualNetwork: string
  subnet: string
  networkSecurityGroup: string
  networkSecurityGroupId: string
  publicInboundPorts: number[]
  /** Whether open ports are really meant. */
  portsConfirmed: boolean

  directory: string
  adDomainJoinUPN: string
  /** Whether domain and unit are given rather than taken from the account. */
  specifyDomain: boolean
  domain: string
  organizationalUnitPath: string

  username: string
  scriptUrl: string
  tags: Tag[]
}

/** What is never kept: it is gone with the page. */
export interface Secrets {
  adDomainJoinPassword: string
  adDomainJoinConfirmPassword: string
  password: string
  confirmPassword: string
}

/** No secret typed yet. */
export const noSecrets: Secrets = { adDomainJoinPassword: '', adDomainJoinConfirmPassword: '', password: '', confirmPassword: '' }

/** The name of a value or of a secret. */
export type Field = keyof Draft | keyof Secrets

/** The wizard as it first opens for a pool. */
export function newDraft(pool: string): Draft {
  return {
    resourceGroup: parseID(pool).group, namePrefix: '', virtualMachineType: kinds.azure,
    location: '', availabilityOption: 'None', availabilityZones: [], availabilitySetName: '', securityType: 'Standard', secureBoot: false, vTPM: false, integrityMonitoring: false,
    imageReference: null, size: '', hibernate: false, numberOfVirtualMachines: 1, osDiskType: 'Premium_LRS', osDiskSizeGB: 0, confidentialComputeEncryption: false, bootDiagnostics: 'Managed', bootDiagnosticsStorageUri: '',
    customLocation: '', virtualProcessorCount: 4, memoryType: 'Static', memoryMB: 8, minimumMemoryMB: 4, maximumMemoryMB: 16, targetMemoryBuffer: 20, logicalNetwork: '',
    virtualNetwork: '', subnet: '', networkSecurityGroup: 'None', networkSecurityGroupId: '', publicInboundPorts: [], portsConfirmed: false,
    directory: 'MicrosoftEntraID', adDomainJoinUPN: '', specifyDomain: false, domain: '', organizationalUnitPath: '', username: '', scriptUrl: '', tags: [],
  }
}

/** Whether the machines are of Azure Stack HCI. */
export const stacked = (d: Draft) => d.virtualMachineType === kinds.stack

/** What follows from choosing a security type, as the portal's wizard preselects it. */
export function withSecurityType(securityType: string): Partial<Draft> {
  const trusted = securityType !== 'Standard'
  const confidential = securityType === 'ConfidentialVM'
  return { securityType, secureBoot: trusted, vTPM: trusted, integrityMonitoring: confidential, confidentialComputeEncryption: false }
}

/** What follows from choosing a kind: Azure Stack HCI machines join Active Directory alone. */
export const withKind = (virtualMachineType: string): Partial<Draft> => ({ virtualMachineType, imageReference: null, ...(virtualMachineType === kinds.stack ? { directory: 'ActiveDirectory' } : {}) })

const megabytes = (gigabytes: number | null) => Math.round((gigabytes ?? 0) * 1024)

function azureMachines(d: Draft): Partial<AddSessionHosts['virtualMachines']> {
  const trusted = d.securityType !== 'Standard'
  return {
    ...(d.location ? { location: d.location } : {}),
    availabilityOption: d.availabilityOption,
    ...(d.availabilityOption === 'AvailabilityZone' ? { availabilityZones: d.availabilityZones } : {}),
    ...(d.availabilityOption === 'AvailabilitySet' ? { availabilitySetName: d.availabilitySetName } : {}),
    securityType: d.securityType,
    ...(trusted ? { secureBoot: d.secureBoot, vTPM: d.vTPM, integrityMonitoring: d.integrityMonitoring } : {}),
    size: d.size,
    ...(d.hibernate ? { hibernate: true } : {}),
    osDiskType: d.osDiskType,
    ...(d.osDiskSizeGB > 0 ? { osDiskSizeGB: d.osDiskSizeGB } : {}),
    ...(d.securityType === 'ConfidentialVM' && d.confidentialComputeEncryption ? { confidentialComputeEncryption: true } : {}),
    bootDiagnostics: d.bootDiagnostics,
    ...(d.bootDiagnostics === 'Custom' ? { bootDiagnosticsStorageUri: d.bootDiagnosticsStorageUri } : {}),
  }
}

function stackMachines(d: Draft): Partial<AddSessionHosts['virtualMachines']> {
  const dynamic = { minimumMemoryMB: megabytes(d.minimumMemoryMB), maximumMemoryMB: megabytes(d.maximumMemoryMB), targetMemoryBuffer: d.targetMemoryBuffer ?? 0 }
  return {
    customLocation: d.customLocation, virtualProcessorCount: d.virtualProcessorCount ?? 0, memoryType: d.memoryType, memoryMB: megabytes(d.memoryMB), ...(d.memoryType === 'Dynamic' ? dynamic : {}),
  }
}

function networkOf(d: Draft): AddSessionHosts['network'] {
  if (stacked(d)) return { logicalNetwork: d.logicalNetwork }
  return {
    virtualNetwork: d.virtualNetwork, subnet: d.subnet, networkSecurityGroup: d.networkSecurityGroup,
    ...(d.networkSecurityGroup === 'Advanced' ? { networkSecurityGroupId: d.networkSecurityGroupId } : {}),
    ...(d.publicInboundPorts.length > 0 ? { publicInboundPorts: d.publicInboundPorts } : {}),
  }
}

function directoryOf(d: Draft, s: Secrets): AddSessionHosts['domainToJoin'] {
  if (d.directory !== 'ActiveDirectory') return d.directory ? { directory: d.directory } : {}
  return {
    directory: d.directory, adDomainJoinUPN: d.adDomainJoinUPN.trim(), adDomainJoinPassword: s.adDomainJoinPassword, adDomainJoinConfirmPassword: s.adDomainJoinConfirmPassword,
    ...(d.specifyDomain && d.domain ? { domain: d.domain.trim() } : {}),
    ...(d.specifyDomain && d.organizationalUnitPath ? { organizationalUnitPath: d.organizationalUnitPath.trim() } : {}),
  }
}

/** The parameters as the service takes them: only those of the chosen kind and options. */
export function bodyOf(d: Draft, s: Secrets): AddSessionHosts {
  return {
    basics: { resourceGroup: d.resourceGroup, namePrefix: d.namePrefix.trim(), virtualMachineType: d.virtualMachineType },
    virtualMachines: {
      numberOfVirtualMachines: d.numberOfVirtualMachines ?? 0, imageReference: d.imageReference ?? {}, ...(stacked(d) ? stackMachines(d) : azureMachines(d)),
    },
    network: networkOf(d),
    domainToJoin: directoryOf(d, s),
    virtualMachineAdministratorAccount: { username: d.username.trim(), password: s.password, confirmPassword: s.confirmPassword },
    customConfiguration: !stacked(d) && d.scriptUrl ? { scriptUrl: d.scriptUrl.trim() } : {},
    tags: tagsOf(d.tags),
    ...(d.publicInboundPorts.length > 0 ? { confirm: { publicInboundPorts: d.portsConfirmed } } : {}),
  }
}

/** The domain that is joined: the one that is named, else the account's suffix. */
export const domainOf = (d: Draft) => (d.specifyDomain && d.domain ? d.domain.trim() : (d.adDomainJoinUPN.trim().split('@')[1] ?? ''))

const keyOf = (pool: string) => `deskyard.add.${pool.toLowerCase()}`

/** What was typed for a pool earlier in this browser session. */
export function kept(pool: string): Draft | null {
  try {
    const text = sessionStorage.getItem(keyOf(pool))
    return text ? { ...newDraft(pool), ...(JSON.parse(text) as Partial<Draft>) } : null
  } catch {
    return null // what is there is not what was kept
  }
}

/** Keeps what was typed, without any secret, until the tab closes. */
export function keep(pool: string, d: Draft | null): void {
  if (d) sessionStorage.setItem(keyOf(pool), JSON.stringify(d))
  else sessionStorage.removeItem(keyOf(pool))
}
