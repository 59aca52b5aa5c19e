// The template and the parameters of a run, for automation. The template is the service's
// own, so that what is downloaded does what the wizard does.
import type { Arm } from '../../arm/arm'
import { groupID } from '../../arm/ids'
import type { ImageReference } from '../../arm/types-wizard'
import { tagsOf } from '../../frame/tags'
import { newestOf } from '../resources/images'
import { domainOf, stacked, type Draft } from './draft'

/** What a run is written down with, beyond what is typed. */
export interface Facts {
  subscription: string
  pool: string
  poolGroup: string
  names: string[]
  os: 'linux' | 'windows'
}

interface Parameter {
  type: string
  defaultValue?: unknown
}

export interface Template {
  parameters: Record<string, Parameter>
  resources: { type: string; properties?: { type?: string; settings?: unknown } }[]
}

/** Microsoft's package of the agent's installer, which Azure runs in Windows machines; this service installs its own agent. */
export const artifacts = 'https://wvdportalstorageblob.blob.core.windows.net/galleryartifacts/Configuration_09-08-2022.zip'

/** The service's own template of a kind. */
export async function templateText(stack: boolean): Promise<string> {
  const loaded = stack ? await import('../../../../../provision/wizard_template_hci.json?raw') : await import('../../../../../provision/wizard_template.json?raw')
  return loaded.default
}

/** The template as it is downloaded: with where Azure finds the agent, and asking for no password that is not needed. */
export function templateOf(text: string, d: Draft): Template {
  const template = JSON.parse(text) as Template
  if (d.directory !== 'ActiveDirectory' && template.parameters.joinPassword) template.parameters.joinPassword.defaultValue = ''
  template.parameters.artifactsLocation = { type: 'string', defaultValue: artifacts }
  for (const r of template.resources) {
    if (r.properties?.type === 'DSC') r.properties.settings = { modulesUrl: "[parameters('artifactsLocation')]", ...(r.properties.settings as object) }
  }
  return template
}

const imageOf = (r: ImageReference | null) => (r?.id ? { id: r.id } : { publisher: r?.publisher ?? '', offer: r?.offer ?? '', sku: r?.sku ?? '', version: r?.version || 'latest' })

/** The system disk as a machine takes it. */
export function diskOf(d: Draft) {
  const encrypted = d.securityType === 'ConfidentialVM' && d.confidentialComputeEncryption
  return {
    createOption: 'FromImage', deleteOption: 'Delete', managedDisk: { storageAccountType: d.osDiskType, ...(encrypted ? { securityProfile: { securityEncryptionType: 'DiskWithVMGuestState' } } : {}) },
    ...(d.osDiskSizeGB > 0 ? { diskSizeGB: d.osDiskSizeGB } : {}),
  }
}

/** Rules that open the chosen ports, in the order in which they were chosen. */
export const rulesOf = (ports: number[]) =>
  ports.map((port, i) => ({
    name: `Port_${port}`,
    properties: {
      priority: 300 + 10 * i, direction: 'Inbound', access: 'Allow', protocol: '*', sourceAddressPrefix: '*', sourcePortRange: '*', destinationAddressPrefix: '*', destinationPortRange: String(port),
    },
  }))

/** The id of the availability set, which lies in the run's group. */
export const setID = (d: Draft, subscription: string) =>
  d.availabilityOption === 'AvailabilitySet' && d.availabilitySetName ? `${groupID(subscription, d.resourceGroup)}/providers/Microsoft.Compute/availabilitySets/${d.availabilitySetName}` : ''

/** How a script is run in a machine. */
export function scriptOf(url: string, os: Facts['os']) {
  const file = (url.split('?')[0] ?? '').split('/').at(-1) ?? ''
  const name = file.replace(/[^-_.0-9a-zA-Z]/g, '_') || 'configure'
  return os === 'windows'
    ? { publisher: 'Microsoft.Compute', type: 'CustomScriptExtension', version: '1.10', command: `powershell -ExecutionPolicy Unrestricted -File ${name}` }
    : { publisher: 'Microsoft.Azure.Extensions', type: 'CustomScript', version: '2.1', command: `sh ./${name}` }
}

function securityOf(d: Draft): object {
  if (d.securityType === 'Standard') return {}
  return { securityType: d.securityType, uefiSettings: { secureBootEnabled: d.secureBoot, vTpmEnabled: d.vTPM } }
}

const diagnosticsOf = (d: Draft) => (d.bootDiagnostics === 'Disabled' ? { enabled: false } : { enabled: true, ...(d.bootDiagnostics === 'Custom' ? { storageUri: d.bootDiagnosticsStorageUri } : {}) })

function azureValues(d: Draft, f: Facts): Record<string, unknown> {
  const url = d.scriptUrl.trim()
  const script = scriptOf(url, f.os)
  return {
    location: d.location, subnetId: `${d.virtualNetwork}/subnets/${d.subnet}`, vmSize: d.size, imageReference: imageOf(d.imageReference), osDisk: diskOf(d), securityProfile: securityOf(d),
    availabilitySetId: setID(d, f.subscription), zones: d.availabilityOption === 'AvailabilityZone' ? d.availabilityZones : [], hibernate: d.hibernate, diagnostics: diagnosticsOf(d),
    licenseType: f.os === 'windows' ? 'Windows_Client' : '', enrolment: {}, securityGroup: d.networkSecurityGroup, securityGroupId: d.networkSecurityGroup === 'Advanced' ? d.networkSecurityGroupId : '',
    securityRules: rulesOf(d.publicInboundPorts), scriptUrl: url, scriptCommand: script.command, scriptType: script.type, scriptPublisher: script.publisher, scriptVersion: script.version,
  }
}

function stackValues(d: Draft, location: string): Record<string, unknown> {
  const mb = (gb: number | null) => Math.round((gb ?? 0) * 1024)
  const dynamic = { dynamicMemoryConfig: { minimumMemoryMB: mb(d.minimumMemoryMB), maximumMemoryMB: mb(d.maximumMemoryMB), targetMemoryBuffer: d.targetMemoryBuffer ?? 0 } }
  return {
    location, customLocationId: d.customLocation, logicalNetworkId: d.logicalNetwork, imageReference: imageOf(d.imageReference),
    hardwareProfile: { vmSize: 'Custom', processors: d.virtualProcessorCount ?? 0, memoryMB: mb(d.memoryMB), ...(d.memoryType === 'Dynamic' ? dynamic : {}) },
  }
}

/** The values of the template's parameters, but for the secure ones, which have none. */
export function valuesOf(d: Draft, f: Facts, stackLocation = ''): Record<string, unknown> {
  const joins = d.directory === 'ActiveDirectory'
  return {
    names: f.names, tags: tagsOf(d.tags), adminUsername: d.username.trim(), hostPoolName: f.pool, directory: d.directory,
    domain: joins ? domainOf(d) : '', ouPath: joins && d.specifyDomain ? d.organizationalUnitPath.trim() : '', joinUser: joins ? d.adDomainJoinUPN.trim() : '',
    ...(stacked(d) ? stackValues(d, stackLocation) : azureValues(d, f)),
  }
}

/** A parameters file. */
export const parametersFile = (values: Record<string, unknown>) => ({
  $schema: 'https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#', contentVersion: '1.0.0.0', parameters: Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value }])),
})

/** Which system an image has, as its row or the catalogue says. */
export async function osOf(arm: Arm, subscription: string, location: string, r: ImageReference | null): Promise<Facts['os']> {
  let system = ''
  if (r?.id) {
    const row = await arm.get<{ properties: { osType?: string; storageProfile?: { osDisk?: { osType?: string } } } }>(r.id)
    system = row.properties.osType ?? row.properties.storageProfile?.osDisk?.osType ?? ''
  } else if (r?.publisher) {
    const versions = `/subscriptions/${subscription}/providers/Microsoft.Compute/locations/${location}/publishers/${r.publisher}/artifacttypes/vmimage/offers/${r.offer}/skus/${r.sku}/versions`
    const exact = r.version && r.version !== 'latest' ? r.version : newestOf((await arm.get<{ name: string }[]>(versions)).map((v) => v.name))
    system = (await arm.get<{ properties: { osDiskImage?: { operatingSystem?: string } } }>(`${versions}/${exact}`)).properties.osDiskImage?.operatingSystem ?? ''
  }
  return system.toLowerCase() === 'windows' ? 'windows' : 'linux'
}
