// All that is deployed, as it was typed.
import { Text } from '@fluentui/react-components'
import type { ReactNode } from 'react'
import { nameOf } from '../../arm/ids'
import { Details } from '../../frame/Details'
import { tagsOf } from '../../frame/tags'
import { portalTexts } from '../../texts/en'
import { imageText } from './choices'
import { domainOf, stacked, type Draft, type Secrets } from './draft'
import { useWizard } from './wizard'

const t = portalTexts.add
const f = t.fields

type Pairs = [name: string, value: ReactNode][]

const secret = (text: string) => (text ? t.secret : t.missing)
const yesNo = (b: boolean) => (b ? portalTexts.frame.yes : portalTexts.frame.no)

function azure(d: Draft): Pairs {
  return [
    [f.location, d.location],
    [f.availabilityOption, t.availability[d.availabilityOption]],
    ...(d.availabilityOption === 'AvailabilityZone' ? [[f.availabilityZones, d.availabilityZones.join(', ')] as [string, string]] : []),
    ...(d.availabilityOption === 'AvailabilitySet' ? [[f.availabilitySetName, d.availabilitySetName] as [string, string]] : []),
    [f.securityType, t.security[d.securityType]],
    ...(d.securityType === 'Standard' ? [] : ([[f.secureBoot, yesNo(d.secureBoot)], [f.vTPM, yesNo(d.vTPM)], [f.integrityMonitoring, yesNo(d.integrityMonitoring)]] as Pairs)),
    [f.imageReference, imageText(d.imageReference)],
    [f.size, d.size],
    [f.hibernate, yesNo(d.hibernate)],
    [f.numberOfVirtualMachines, d.numberOfVirtualMachines],
    [f.osDiskType, t.disks[d.osDiskType]],
    [f.osDiskSizeGB, t.diskSize(d.osDiskSizeGB)],
    ...(d.securityType === 'ConfidentialVM' ? [[f.confidentialComputeEncryption, yesNo(d.confidentialComputeEncryption)] as [string, string]] : []),
    [f.bootDiagnostics, t.diagnostics[d.bootDiagnostics]],
  ]
}

function stack(d: Draft): Pairs {
  const dynamic: Pairs = [[f.minimumMemoryMB, d.minimumMemoryMB], [f.maximumMemoryMB, d.maximumMemoryMB], [f.targetMemoryBuffer, d.targetMemoryBuffer]]
  return [
    [f.customLocation, nameOf(d.customLocation)],
    [t.images, imageText(d.imageReference)],
    [f.numberOfVirtualMachines, d.numberOfVirtualMachines],
    [f.virtualProcessorCount, d.virtualProcessorCount],
    [f.memoryType, t.memoryTypes[d.memoryType]],
    [f.memoryMB, d.memoryMB],
    ...(d.memoryType === 'Dynamic' ? dynamic : []),
  ]
}

function network(d: Draft): Pairs {
  if (stacked(d)) return [[f.logicalNetwork, nameOf(d.logicalNetwork)]]
  return [
    [f.virtualNetwork, nameOf(d.virtualNetwork)],
    [f.subnet, d.subnet],
    [f.networkSecurityGroup, d.networkSecurityGroup === 'Advanced' ? nameOf(d.networkSecurityGroupId) : t.nsg[d.networkSecurityGroup]],
    [f.publicInboundPorts, d.publicInboundPorts.map((p) => t.ports[p] ?? p).join(', ') || t.portsNo],
  ]
}

function domain(d: Draft, s: Secrets): Pairs {
  const joined: Pairs = [
    [f.adDomainJoinUPN, d.adDomainJoinUPN], [f.adDomainJoinPassword, secret(s.adDomainJoinPassword)], [f.domain, domainOf(d)], ...(d.specifyDomain ? [[f.organizationalUnitPath, d.organizationalUnitPath] as [string, string]] : []),
  ]
  return [[f.directory, t.directories[d.directory]], ...(d.directory === 'ActiveDirectory' ? joined : [])]
}

/** The typed values by their sections. */
export function Summary() {
  const { draft: d, secrets } = useWizard()
  const tags = Object.entries(tagsOf(d.tags))
  const sections: [string, Pairs][] = [
    [t.sections.machines, [[f.resourceGroup, d.resourceGroup], [f.namePrefix, d.namePrefix], [f.virtualMachineType, t.kinds[d.virtualMachineType]], ...(stacked(d) ? stack(d) : azure(d))]],
    [t.sections.network, network(d)],
    [t.sections.domain, domain(d, secrets)],
    [t.sections.admin, [[f.username, d.username], [f.password, secret(secrets.password)]]],
    ...(stacked(d) ? [] : [[t.sections.script, [[f.scriptUrl, d.scriptUrl]]] as [string, Pairs]]),
    [t.tabs.tags, tags.length > 0 ? tags : [[f.tags, portalTexts.frame.none]]],
  ]
  return sections.map(([title, pairs]) => (
    <section key={title} aria-label={title}>
      <Text weight="semibold" size={400} as="h2">
        {title}
      </Text>
      <Details of={pairs} />
    </section>
  ))
}
