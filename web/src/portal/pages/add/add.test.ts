import { alike } from './alike'
import { describe, expect, it } from 'vitest'
import azure from '../../../../../provision/wizard_template.json?raw'
import stackTemplate from '../../../../../provision/wizard_template_hci.json?raw'
import { ArmError } from '../../arm/errors'
import { parametersFile, scriptOf, templateOf, valuesOf, type Facts, type Template } from './automation'
import { azCommand, deskyardCommand, quoted } from './commands'
import { deploymentName } from './create'
import { customSize, sizeOf } from './choices'
import { bodyOf, keep, kept, newDraft, noSecrets, withKind, withSecurityType, kinds, type Draft } from './draft'
import { joined, ownFindings, sorted } from './findings'
import { namesFor, numberIn, prefixFault } from './names'
import { isOf } from './HostSteps'
import { failedStage, standings } from './stages'
import { terraformText, text } from './terraform'

const pool = '/subscriptions/s1/resourceGroups/rg1/providers/Microsoft.DesktopVirtualization/hostPools/hp1'
const secrets = { ...noSecrets, password: 'Correct-Horse-9', confirmPassword: 'Correct-Horse-9', adDomainJoinPassword: 'Join-me-9', adDomainJoinConfirmPassword: 'Join-me-9' }
const desk: Draft = {
  ...newDraft(pool), namePrefix: 'sh', location: 'eastus', size: 'Standard_D2s_v5', imageReference: { publisher: 'Deskyard', offer: 'debian-12', sku: 'desktop', version: 'latest' },
  virtualNetwork: '/subscriptions/s1/resourceGroups/rg1/providers/Microsoft.Network/virtualNetworks/net', subnet: 'desks', username: 'keeper', numberOfVirtualMachines: 2, tags: [{ name: 'team', value: "it's ${blue}" }, { name: '', value: '' }],
}
const rack: Draft = { ...desk, ...withKind(kinds.stack), customLocation: '/c/rack', logicalNetwork: '/l/net', imageReference: { id: '/i/win' }, memoryType: 'Dynamic', memoryMB: 4, minimumMemoryMB: 2, maximumMemoryMB: 8, adDomainJoinUPN: 'join@corp.example' }
const facts: Facts = { subscription: 's1', pool: 'hp1', poolGroup: 'rg1', names: ['sh-0', 'sh-1'], os: 'linux' }

describe('names of hosts to come', () => {
  it('go on behind the highest number in use, in any case and domain', () => {
    expect(namesFor('sh', 2, ['sh-0', 'SH-4.corp.example', 'sh-x', 'other-9'])).toEqual(['sh-5', 'sh-6'])
    expect(numberIn('a-b-3', 'a-b')).toBe(3)
    expect(numberIn('a-b-3', 'a')).toBeNull()
  })
  it('are held to the rule while they are typed', () => {
    expect(prefixFault('hp01-sh', 'hp01-sh-0')).toBeNull()
    expect(prefixFault('twelve-chars', undefined)).toBe('long')
    expect(prefixFault('-sh', undefined)).toBe('form')
    expect(prefixFault('123', undefined)).toBe('form')
    expect(prefixFault('elevenchars', 'elevenchars-1000')).toBe('name')
  })
})

describe('what is typed', () => {
  it('becomes the parameters of the chosen kind and options alone', () => {
    const body = bodyOf({ ...desk, ...withSecurityType('TrustedLaunch'), customLocation: '/c/old', scriptUrl: 'https://x.example/a.sh', publicInboundPorts: [] }, secrets)
    expect(body.virtualMachines).toMatchObject({ securityType: 'TrustedLaunch', secureBoot: true, vTPM: true, integrityMonitoring: false, numberOfVirtualMachines: 2 })
    expect(body.virtualMachines.customLocation).toBeUndefined()
    expect(body.tags).toEqual({ team: "it's ${blue}" })
    expect(body.domainToJoin).toEqual({ directory: 'MicrosoftEntraID' })
    const stack = bodyOf({ ...rack, scriptUrl: 'https://x.example/a.sh' }, secrets)
    expect(stack.virtualMachines).toMatchObject({ memoryMB: 4096, minimumMemoryMB: 2048, maximumMemoryMB: 8192, virtualProcessorCount: 4 })
    expect(stack.virtualMachines.size).toBeUndefined()
    expect(stack.customConfiguration).toEqual({})
    expect(stack.network).toEqual({ logicalNetwork: '/l/net' })
  })
  it('is kept for the session without secrets', () => {
    keep(pool, desk)
    expect(kept(pool.toUpperCase())).toEqual(desk)
    expect(JSON.stringify({ ...sessionStorage })).not.toContain('Correct-Horse')
    keep(pool, null)
    expect(kept(pool)).toBeNull()
  })
})

describe('findings', () => {
  it('stand at their tab and field; those of no field stay apart', () => {
    const error = new ArmError(400, 'InvalidSessionHostParameters', 'two', { details: [{ code: 'x', message: 'long', target: 'basics.namePrefix' }, { code: 'x', message: 'bad', target: 'tags' }, { code: 'x', message: 'odd', target: 'other.thing' }] })
    expect(sorted(error)).toEqual({ found: [{ tab: 'machines', field: 'namePrefix', message: 'long' }, { tab: 'tags', field: 'tags', message: 'bad' }], others: [{ code: 'x', message: 'odd', target: 'other.thing' }] })
    expect(sorted(new ArmError(400, 'InvalidSessionHostParameters', 'one', { target: 'virtualMachines.size' })).found).toHaveLength(1)
    expect(sorted(new ArmError(0, 'ConnectionLost', 'lost')).others).toHaveLength(1)
  })
  it('of what is not chosen replace the service’s words about it', () => {
    const texts = { differ: 'differ', choose: (f: string) => `choose ${f}` }
    const own = ownFindings({ ...desk, virtualNetwork: '', subnet: '' }, { ...secrets, confirmPassword: 'x' }, texts)
    expect(own.map((f) => f.field)).toEqual(['virtualNetwork', 'confirmPassword'])
    const all = joined(own, [{ tab: 'machines', field: 'subnet', message: 'none' }, { tab: 'machines', field: 'size', message: 'none' }], ['size', 'virtualNetwork', 'confirmPassword'])
    expect(all.map((f) => f.field)).toEqual(['size', 'virtualNetwork', 'confirmPassword'])
    expect(ownFindings(desk, secrets, texts)).toEqual([])
  })
})

describe('automation', () => {
  it('gives every parameter of the service’s template a value, but for the secure ones', () => {
    for (const [draft, source] of [[desk, azure], [rack, stackTemplate]] as const) {
      const template = JSON.parse(source) as Template
      const open = Object.entries(template.parameters).filter(([, p]) => p.type !== 'securestring').map(([name]) => name)
      expect(Object.keys(valuesOf(draft, facts, 'eastus')).sort()).toEqual(open.sort())
    }
  })
  it('writes no secret and tells Azure where the agent is', () => {
    const template = templateOf(azure, desk)
    expect(template.parameters.adminPassword).toEqual({ type: 'securestring' })
    expect(template.parameters.joinPassword).toEqual({ type: 'securestring', defaultValue: '' })
    expect(templateOf(stackTemplate, rack).parameters.joinPassword).toEqual({ type: 'securestring' })
    expect(JSON.stringify(template.resources)).toContain("[parameters('artifactsLocation')]")
    expect(parametersFile(valuesOf(desk, facts)).parameters.names).toEqual({ value: ['sh-0', 'sh-1'] })
    expect(scriptOf('https://x.example/a%20b.ps1?sig=1', 'windows').command).toBe('powershell -ExecutionPolicy Unrestricted -File a_20b.ps1')
  })
  it('quotes what a shell would read otherwise', () => {
    expect(quoted("it's")).toBe("'it'\\''s'")
    const line = deskyardCommand(desk, facts)
    expect(line).toContain("--tags 'team=it'\\''s ${blue}'")
    expect(line).not.toMatch(/password/i)
    expect(deskyardCommand(rack, facts)).toContain('--minimum-memory-mb 2048')
    expect(azCommand(desk, facts, 'f')).toContain('--parameters @f.parameters.json')
  })
  it('writes Terraform in which no text is an expression', () => {
    expect(text('a${b}%{c}"')).toBe('"a$${b}%%{c}\\""')
    const hcl = terraformText({ ...desk, networkSecurityGroup: 'Basic', publicInboundPorts: [3389], availabilityOption: 'AvailabilityZone', availabilityZones: ['1', '2'] }, facts, 'f')
    expect(hcl).toContain('resource "azurerm_linux_virtual_machine" "host" {')
    expect(hcl).toContain('zone = local.zones[each.value % length(local.zones)]')
    expect(hcl).toContain('destination_port_range = "3389"')
    expect(hcl).toContain('boot_diagnostics {}')
    expect(hcl.split('{').length).toBe(hcl.split('}').length)
    expect(terraformText(rack, facts, 'f')).toContain('azurerm_resource_group_template_deployment')
  })
})

describe('a run', () => {
  const host = { name: 'sh-1', stage: 'Booting', percent: 25, seconds: 3 }
  it('shows each stage of a host as it stands', () => {
    expect(standings(host, '').map((s) => s.standing)).toEqual(['done', 'done', 'done', 'done', 'current', 'ahead', 'ahead', 'ahead'])
    expect(standings({ ...host, stage: 'Failed' }, 'Joining')[5]).toEqual({ stage: 'Joining', standing: 'failedHere' })
    expect(new Set(standings({ ...host, stage: 'Available' }, '').map((s) => s.standing))).toEqual(new Set(['done']))
  })
  it('finds where a host failed from what was made for it', () => {
    const vm = 'Microsoft.Compute/virtualMachines'
    expect(failedStage(host, [])).toBe('Queued')
    expect(failedStage(host, [{ type: vm, state: 'Failed' }])).toBe('Booting')
    expect(failedStage(host, [{ type: vm, state: 'Succeeded' }, { type: vm + '/extensions', state: 'Failed' }])).toBe('Joining')
    expect(failedStage({ ...host, sessionHostId: '/h' }, [])).toBe('Agent')
  })
  it('knows which operations are a host’s', () => {
    const of = (id: string) => ({ operationId: '', properties: { provisioningOperation: '', provisioningState: '', timestamp: '', targetResource: { id, resourceType: '', resourceName: '' } } })
    const group = '/subscriptions/s/resourceGroups/g/providers/'
    expect(isOf(of(group + 'Microsoft.Compute/virtualMachines/sh-1/extensions/joindomain'), 'sh-1')).toBe(true)
    expect(isOf(of(group + 'Microsoft.Network/networkInterfaces/sh-1-nic'), 'SH-1')).toBe(true)
    expect(isOf(of(group + 'Microsoft.HybridCompute/machines/sh-1/providers/Microsoft.AzureStackHCI/virtualMachineInstances/default'), 'sh-1')).toBe(true)
    expect(isOf(of(group + 'Microsoft.Network/networkInterfaces/sh-10-nic'), 'sh-1')).toBe(false)
  })
  it('has a name of its own', () => {
    expect(deploymentName('SH', new Date('2026-01-02T03:04:05Z'), 'ab12')).toBe('addSessionHosts-sh-20260102030405-ab12')
  })
})

describe('sizes', () => {
  it('are read with what they can do', () => {
    const of = sizeOf({ name: 'Standard_D2s_v5', resourceType: 'virtualMachines', capabilities: [{ name: 'vCPUs', value: '2' }, { name: 'MemoryGB', value: '8' }, { name: 'PremiumIO', value: 'True' }] })
    expect(of).toMatchObject({ cores: 2, memoryGB: 8, premium: true, hibernates: false, trusted: true, confidential: false })
    expect(customSize('Custom_2_4096')).toMatchObject({ cores: 2, memoryGB: 4 })
    expect(customSize('Standard_D2s_v5')).toBeNull()
  })
})

describe('a machine that is there', () => {
  const vm = {
    id: '/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/desk-east-12', location: 'local', tags: { team: 'red' },
    properties: {
      hardwareProfile: { vmSize: 'Standard_D2s_v3' }, osProfile: { adminUsername: 'keeper' }, securityProfile: { securityType: 'TrustedLaunch', uefiSettings: { secureBootEnabled: true, vTpmEnabled: false } },
      storageProfile: { imageReference: { publisher: 'Deskyard', offer: 'debian-12', sku: 'desktop', version: '1.0.0', exactVersion: '1.0.0' }, osDisk: { managedDisk: { storageAccountType: 'StandardSSD_LRS' } } },
    },
  }
  const nic = { properties: { ipConfigurations: [{ properties: { subnet: { id: '/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/office/subnets/desks' } } }] } }

  it('gives the wizard its values', () => {
    expect(alike(vm, nic)).toMatchObject({
      resourceGroup: 'rg', namePrefix: 'desk-east', location: 'local', size: 'Standard_D2s_v3', osDiskType: 'StandardSSD_LRS', username: 'keeper', tags: [{ name: 'team', value: 'red' }],
      securityType: 'TrustedLaunch', secureBoot: true, vTPM: false, imageReference: { publisher: 'Deskyard', offer: 'debian-12', sku: 'desktop', version: '1.0.0' },
      virtualNetwork: '/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/office', subnet: 'desks',
    })
  })

  it('gives none that it does not say', () => {
    const bare = alike({ id: vm.id, properties: {} }, null)
    expect(bare).toMatchObject({ size: '', imageReference: null, tags: [] })
    expect(bare).not.toHaveProperty('virtualNetwork')
    expect(bare).not.toHaveProperty('securityType')
  })
})
