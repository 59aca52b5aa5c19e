// The same run on a command line.
import { tagsOf } from '../../frame/tags'
import { imageText } from './choices'
import { stacked, type Draft } from './draft'
import type { Facts } from './automation'

/** A word as a shell takes it. */
export const quoted = (text: string) => (/^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)

type Flag = [name: string, value?: string | number | boolean | null | undefined]

/** A command with a line for each flag. */
function command(words: string, flags: Flag[]): string {
  const lines = flags.filter(([, v]) => v !== '' && v !== null && v !== undefined && v !== false).map(([name, v]) => (v === true ? name : `${name} ${quoted(String(v))}`))
  return [words, ...lines].join(' \\\n  ')
}

function azureFlags(d: Draft): Flag[] {
  const trusted = d.securityType !== 'Standard'
  return [
    ['--location', d.location],
    ['--image', d.imageReference?.id ?? imageText(d.imageReference)],
    ['--size', d.size],
    ['--zone', d.availabilityOption === 'AvailabilityZone' ? d.availabilityZones.join(',') : ''],
    ['--availability-set', d.availabilityOption === 'AvailabilitySet' ? d.availabilitySetName : ''],
    ['--security-type', d.securityType],
    ...(trusted ? ([['--secure-boot', String(d.secureBoot)], ['--vtpm', String(d.vTPM)], ['--integrity-monitoring', String(d.integrityMonitoring)]] as Flag[]) : []),
    ['--hibernate', d.hibernate],
    ['--os-disk-type', d.osDiskType],
    ['--os-disk-size-gb', d.osDiskSizeGB || ''],
    ['--confidential-disk-encryption', d.securityType === 'ConfidentialVM' && d.confidentialComputeEncryption],
    ['--boot-diagnostics', d.bootDiagnostics],
    ['--boot-diagnostics-storage-uri', d.bootDiagnostics === 'Custom' ? d.bootDiagnosticsStorageUri.trim() : ''],
    ['--vnet', d.virtualNetwork],
    ['--subnet', d.subnet],
    ['--nsg', d.networkSecurityGroup === 'Advanced' ? d.networkSecurityGroupId : d.networkSecurityGroup === 'Basic' ? 'basic' : ''],
    ['--inbound-port', d.publicInboundPorts.join(',')],
    ['--script-url', d.scriptUrl.trim()],
  ]
}

function stackFlags(d: Draft): Flag[] {
  const mb = (gb: number | null) => Math.round((gb ?? 0) * 1024)
  const dynamic: Flag[] = [['--minimum-memory-mb', mb(d.minimumMemoryMB)], ['--maximum-memory-mb', mb(d.maximumMemoryMB)], ['--memory-buffer-percent', d.targetMemoryBuffer ?? '']]
  return [
    ['--image', d.imageReference?.id], ['--custom-location', d.customLocation], ['--vcpus', d.virtualProcessorCount], ['--memory-mb', mb(d.memoryMB)], ...(d.memoryType === 'Dynamic' ? dynamic : []), ['--logical-network', d.logicalNetwork],
  ]
}

/** deskyard sessionhost add with all that is typed, without passwords. */
export function deskyardCommand(d: Draft, f: Facts): string {
  const joins = d.directory === 'ActiveDirectory'
  return command('deskyard sessionhost add', [
    ['--resource-group', f.poolGroup],
    ['--host-pool-name', f.pool],
    ['--vm-resource-group', d.resourceGroup === f.poolGroup ? '' : d.resourceGroup],
    ['--name-prefix', d.namePrefix.trim()],
    ['--count', d.numberOfVirtualMachines],
    ...(stacked(d) ? stackFlags(d) : azureFlags(d)),
    ['--directory', d.directory],
    ...(joins ? ([['--join-upn', d.adDomainJoinUPN.trim()], ['--domain', d.specifyDomain ? d.domain.trim() : ''], ['--ou', d.specifyDomain ? d.organizationalUnitPath.trim() : '']] as Flag[]) : []),
    ['--admin-user', d.username.trim()],
    ...Object.entries(tagsOf(d.tags)).map(([name, value], i): Flag => [i === 0 ? '--tags' : '', `${name}=${value}`]).filter(([name]) => name !== ''),
  ]) + moreTags(d)
}

/** The tags behind the first one, which follow the same flag. */
function moreTags(d: Draft): string {
  return Object.entries(tagsOf(d.tags)).slice(1).map(([name, value]) => ` ${quoted(`${name}=${value}`)}`).join('')
}

/** az deployment group create with the downloaded files. */
export function azCommand(d: Draft, f: Facts, file: string): string {
  const key = command('az desktopvirtualization hostpool retrieve-registration-token', [['--resource-group', f.poolGroup], ['--name', f.pool], ['--query', 'token'], ['--output', 'tsv']])
  const create = command('az deployment group create', [['--resource-group', d.resourceGroup], ['--name', file], ['--template-file', `${file}.json`], ['--parameters', `@${file}.parameters.json`]])
  return `# The registration key, which the second command asks for as hostPoolToken:\n${key}\n\n${create}\n`
}
