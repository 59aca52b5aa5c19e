// The same run as Terraform's resources of the provider azurerm.
import { tagsOf } from '../../frame/tags'
import { artifacts, rulesOf, scriptOf, setID, type Facts } from './automation'
import { domainOf, stacked, type Draft } from './draft'

/** A value of Terraform's language that is no text: a reference or an expression. */
class Expression {
  constructor(readonly text: string) {}
}
const is = (text: string) => new Expression(text)

/** A text as Terraform takes it: nothing in it is an expression. */
export const text = (s: string) => JSON.stringify(s).replace(/[$%]\{/g, (open) => open[0] + open)

type Value = string | number | boolean | Expression | Value[] | { [name: string]: Value }

function written(v: Value, indent: string): string {
  if (v instanceof Expression) return v.text
  if (typeof v === 'string') return text(v)
  if (typeof v !== 'object') return String(v)
  if (Array.isArray(v)) return `[${v.map((x) => written(x, indent)).join(', ')}]`
  const names = Object.keys(v)
  if (names.length === 0) return '{}'
  return `{\n${names.map((n) => `${indent}  ${/^[A-Za-z_][A-Za-z0-9_-]*$/.test(n) ? n : text(n)} = ${written(v[n]!, indent + '  ')}`).join('\n')}\n${indent}}`
}

/** Arguments of a block; null is left out, a Block is a block within. */
class Block {
  constructor(readonly args: Args) {}
}
type Args = Record<string, Value | Block | Block[] | null>
const block = (args: Args) => new Block(args)

function body(args: Args, indent: string): string {
  const lines: string[] = []
  for (const [name, v] of Object.entries(args)) {
    if (v === null) continue
    const blocks = v instanceof Block ? [v] : Array.isArray(v) && v.length > 0 && v.every((x) => x instanceof Block) ? (v as Block[]) : null
    if (blocks) for (const b of blocks) lines.push('', Object.values(b.args).every((x) => x === null) ? `${indent}${name} {}` : `${indent}${name} {\n${body(b.args, indent + '  ')}\n${indent}}`)
    else lines.push(`${indent}${name} = ${written(v as Value, indent)}`)
  }
  return lines.join('\n').replace(/^\n/, '')
}

const top = (head: string, args: Args) => `${head} {\n${body(args, '  ')}\n}\n`
const resource = (type: string, name: string, args: Args) => top(`resource "${type}" "${name}"`, args)
const secret = (name: string, description: string) => top(`variable "${name}"`, { description, type: is('string'), sensitive: true })

const each = { for_each: is('local.hosts') }

function head(d: Draft, f: Facts): string[] {
  return [
    top('terraform', { required_providers: block({ azurerm: { source: 'hashicorp/azurerm', version: '~> 4.0' } }) }),
    top('provider "azurerm"', { subscription_id: f.subscription, features: block({}) }),
    secret('admin_password', 'Password of the local administrator'),
    secret('registration_token', 'Registration key of the host pool'),
    ...(d.directory === 'ActiveDirectory' ? [secret('join_password', 'Password of the account that joins the domain')] : []),
  ]
}

function locals(d: Draft, f: Facts): string {
  return top('locals', {
    names: f.names, hosts: is('{ for i, name in local.names : name => i }'), ...(d.availabilityOption === 'AvailabilityZone' ? { zones: d.availabilityZones } : {}), tags: tagsOf(d.tags),
  })
}

const place = (d: Draft) => ({ resource_group_name: d.resourceGroup, location: d.location })

function network(d: Draft): string[] {
  const rules = rulesOf(d.publicInboundPorts).map(({ name, properties: p }) =>
    block({
      name, priority: p.priority, direction: p.direction, access: p.access, protocol: p.protocol, source_address_prefix: p.sourceAddressPrefix, source_port_range: p.sourcePortRange, destination_address_prefix: p.destinationAddressPrefix, destination_port_range: p.destinationPortRange,
    }),
  )
  const group = d.networkSecurityGroup === 'Basic' ? is('azurerm_network_security_group.host[each.key].id') : d.networkSecurityGroupId
  return [
    resource('azurerm_network_interface', 'host', {
      ...each, name: is('"${each.key}-nic"'), ...place(d), tags: is('local.tags'), ip_configuration: block({ name: 'ipconfig', subnet_id: `${d.virtualNetwork}/subnets/${d.subnet}`, private_ip_address_allocation: 'Dynamic' }),
    }),
    ...(d.networkSecurityGroup === 'Basic' ? [resource('azurerm_network_security_group', 'host', { ...each, name: is('"${each.key}-nsg"'), ...place(d), tags: is('local.tags'), security_rule: rules.length > 0 ? rules : null })] : []),
    ...(d.networkSecurityGroup === 'None' ? [] : [resource('azurerm_network_interface_security_group_association', 'host', { ...each, network_interface_id: is('azurerm_network_interface.host[each.key].id'), network_security_group_id: group })]),
  ]
}

const machineType = (f: Facts) => (f.os === 'windows' ? 'azurerm_windows_virtual_machine' : 'azurerm_linux_virtual_machine')

function machine(d: Draft, f: Facts): string {
  const r = d.imageReference
  const set = setID(d, f.subscription)
  const confidential = d.securityType === 'ConfidentialVM'
  return resource(machineType(f), 'host', {
    ...each, name: is('each.key'), computer_name: is('each.key'), ...place(d), size: d.size, admin_username: d.username.trim(), admin_password: is('var.admin_password'),
    disable_password_authentication: f.os === 'linux' ? false : null, license_type: f.os === 'windows' ? 'Windows_Client' : null, network_interface_ids: [is('azurerm_network_interface.host[each.key].id')],
    zone: d.availabilityOption === 'AvailabilityZone' ? is('local.zones[each.value % length(local.zones)]') : null, availability_set_id: set || null,
    secure_boot_enabled: d.securityType === 'Standard' ? null : d.secureBoot, vtpm_enabled: d.securityType === 'Standard' ? null : d.vTPM,
    source_image_id: r?.id ?? null, tags: is('local.tags'),
    source_image_reference: r?.id ? null : block({ publisher: r?.publisher ?? '', offer: r?.offer ?? '', sku: r?.sku ?? '', version: r?.version || 'latest' }),
    os_disk: block({ caching: 'ReadWrite', storage_account_type: d.osDiskType, disk_size_gb: d.osDiskSizeGB || null, security_encryption_type: confidential ? 'DiskWithVMGuestState' : null }),
    boot_diagnostics: d.bootDiagnostics === 'Disabled' ? null : block({ storage_account_uri: d.bootDiagnostics === 'Custom' ? d.bootDiagnosticsStorageUri : null }),
    additional_capabilities: d.hibernate ? block({ hibernation_enabled: true }) : null,
  })
}

/** One extension of each machine; it waits for those that come before it. */
function extension(f: Facts, name: string, before: string[], e: { name: string; publisher: string; type: string; version: string; settings: Value | null; secrets: Value | null }): string {
  const json = (v: Value | null) => (v === null ? null : is(`jsonencode(${written(v, '  ')})`))
  return resource('azurerm_virtual_machine_extension', name, {
    ...each, name: e.name, virtual_machine_id: is(`${machineType(f)}.host[each.key].id`), publisher: e.publisher, type: e.type, type_handler_version: e.version, auto_upgrade_minor_version: true,
    settings: json(e.settings), protected_settings: json(e.secrets), depends_on: before.length > 0 ? before.map((b) => is(`azurerm_virtual_machine_extension.${b}`)) : null, tags: is('local.tags'),
  })
}

function extensions(d: Draft, f: Facts): string[] {
  const all: string[] = []
  const before: string[] = []
  const add = (name: string, e: Parameters<typeof extension>[3]) => {
    all.push(extension(f, name, [...before], e))
    before.push(name)
  }
  if (d.directory === 'ActiveDirectory')
    add('join', {
      name: 'joindomain', publisher: 'Microsoft.Compute', type: 'JsonADDomainExtension', version: '1.3', secrets: { password: is('var.join_password') },
      settings: { name: domainOf(d), ouPath: d.specifyDomain ? d.organizationalUnitPath.trim() : '', user: d.adDomainJoinUPN.trim(), restart: 'true', options: '3' },
    })
  if (d.directory === 'MicrosoftEntraID') add('join', { name: 'AADLoginForWindows', publisher: 'Microsoft.Azure.ActiveDirectory', type: 'AADLoginForWindows', version: '2.0', settings: null, secrets: null })
  const url = d.scriptUrl.trim()
  const script = scriptOf(url, f.os)
  if (url) add('configuration', { name: 'configuration', publisher: script.publisher, type: script.type, version: script.version, settings: { fileUris: [url] }, secrets: { commandToExecute: script.command } })
  add('agent', {
    name: 'Microsoft.PowerShell.DSC', publisher: 'Microsoft.Powershell', type: 'DSC', version: '2.73',
    settings: { modulesUrl: artifacts, configurationFunction: 'Configuration.ps1\\AddSessionHost', properties: { hostPoolName: f.pool, aadJoin: d.directory === 'MicrosoftEntraID', UseAgentDownloadEndpoint: true } },
    secrets: { properties: { registrationInfoToken: is('var.registration_token') } },
  })
  return all
}

/** Azure Stack HCI machines have no resource in azurerm: it deploys the downloaded template. */
function stackDeployment(d: Draft, file: string): string {
  const joins = d.directory === 'ActiveDirectory'
  return resource('azurerm_resource_group_template_deployment', 'hosts', {
    name: file, resource_group_name: d.resourceGroup, deployment_mode: 'Incremental', template_content: is(`file("\${path.module}/${file}.json")`),
    parameters_content: is(`jsonencode(merge(jsondecode(file("\${path.module}/${file}.parameters.json")).parameters, ${written({ adminPassword: { value: is('var.admin_password') }, hostPoolToken: { value: is('var.registration_token') }, ...(joins ? { joinPassword: { value: is('var.join_password') } } : {}) }, '  ')}))`),
  })
}

/** The whole text; file is the downloaded template's name without its end. */
export function terraformText(d: Draft, f: Facts, file: string): string {
  if (stacked(d)) return [...head(d, f), stackDeployment(d, file)].join('\n')
  return [...head(d, f), locals(d, f), ...network(d), machine(d, f), ...extensions(d, f)].join('\n')
}
