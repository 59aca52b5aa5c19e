// What the wizard can take over from a machine that is there.
import { parseID } from '../../arm/ids'
import type { ImageReference } from '../../arm/types-wizard'
import { withSecurityType, type Draft } from './draft'

/** A virtual machine, as far as the wizard has fields for it. */
export interface MachineBody {
  id: string
  location?: string
  tags?: Record<string, string>
  properties: {
    hardwareProfile?: { vmSize?: string }
    storageProfile?: { imageReference?: ImageReference & { exactVersion?: string }; osDisk?: { managedDisk?: { storageAccountType?: string } } }
    osProfile?: { adminUsername?: string }
    securityProfile?: { securityType?: string; uefiSettings?: { secureBootEnabled?: boolean; vTpmEnabled?: boolean } }
    networkProfile?: { networkInterfaces?: { id: string }[] }
  }
}

/** A network interface, likewise. */
export interface InterfaceBody {
  properties: { ipConfigurations?: { properties: { subnet?: { id: string } } }[] }
}

/** An image as it is chosen: by id, or by its four parts. */
function imageOf(r: ImageReference | undefined): ImageReference | null {
  if (!r) return null
  if (r.id) return { id: r.id }
  return r.publisher ? { publisher: r.publisher, offer: r.offer ?? '', sku: r.sku ?? '', version: r.version ?? 'latest' } : null
}

/** The values of the wizard by which such a machine is made; its name's prefix too, and no secret. */
export function alike(vm: MachineBody, nic: InterfaceBody | null): Partial<Draft> {
  const p = vm.properties
  const subnet = nic?.properties.ipConfigurations?.[0]?.properties.subnet?.id
  const id = parseID(vm.id)
  const security = p.securityProfile?.securityType
  const uefi = p.securityProfile?.uefiSettings
  return {
    resourceGroup: id.group, namePrefix: id.name.replace(/-\d+$/, ''), location: vm.location ?? '', size: p.hardwareProfile?.vmSize ?? '', imageReference: imageOf(p.storageProfile?.imageReference),
    osDiskType: p.storageProfile?.osDisk?.managedDisk?.storageAccountType ?? 'Premium_LRS', username: p.osProfile?.adminUsername ?? '',
    tags: Object.entries(vm.tags ?? {}).map(([name, value]) => ({ name, value })),
    ...(security ? { ...withSecurityType(security), secureBoot: uefi?.secureBootEnabled ?? false, vTPM: uefi?.vTpmEnabled ?? false } : {}),
    ...(subnet ? { virtualNetwork: parseID(subnet).parent, subnet: parseID(subnet).name } : {}),
  }
}
