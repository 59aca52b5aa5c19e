// What the service finds wrong, by tab and field.
import type { ArmError, Finding } from '../../arm/errors'
import { stacked, type Draft, type Field, type Secrets } from './draft'

/** The wizard's tabs in their order. */
export const tabs = ['basics', 'machines', 'tags', 'review'] as const
export type TabName = (typeof tabs)[number]

/** One finding at its field. */
export interface Found {
  tab: TabName
  field: Field
  message: string
}

/** Groups of parameters as the service names them. The basics that can be changed stand on the tab of the machines. */
const tabOf: Record<string, TabName> = {
  basics: 'machines', virtualMachines: 'machines', network: 'machines', domainToJoin: 'machines', virtualMachineAdministratorAccount: 'machines', customConfiguration: 'machines', tags: 'tags',
}

/** Targets that are no field's own name. */
const fieldOf: Record<string, Field> = { tags: 'tags' }

/** The findings of an answer that have a field, and those that have none. */
export function sorted(error: ArmError): { found: Found[]; others: Finding[] } {
  const found: Found[] = []
  const others: Finding[] = []
  const all = error.more.details?.length ? error.more.details : error.findings
  for (const f of all) {
    const [group = '', ...rest] = (f.target ?? '').split('.')
    const tab = tabOf[group]
    const field = fieldOf[group] ?? (rest.at(-1) as Field | undefined)
    if (tab && field) found.push({ tab, field, message: f.message })
    else others.push(f)
  }
  return { found, others }
}

/** Values that must be chosen, of each kind. */
const chosen = {
  azure: ['location', 'imageReference', 'size', 'virtualNetwork'],
  stack: ['customLocation', 'imageReference', 'logicalNetwork'],
} as const

/**
 * What the page itself can tell, in plainer words than the service has for something empty.
 * The service compares passwords only where both are given.
 */
export function ownFindings(d: Draft, s: Secrets, texts: { differ: string; choose: (field: string) => string }): Found[] {
  const found: Found[] = []
  const add = (field: Field, message: string) => found.push({ tab: 'machines', field, message })
  for (const field of chosen[stacked(d) ? 'stack' : 'azure']) if (!d[field]) add(field, texts.choose(field))
  if (!stacked(d) && d.virtualNetwork && !d.subnet) add('subnet', texts.choose('subnet'))
  if (s.password && s.password !== s.confirmPassword) add('confirmPassword', texts.differ)
  if (d.directory === 'ActiveDirectory' && s.adDomainJoinPassword && s.adDomainJoinPassword !== s.adDomainJoinConfirmPassword) add('adDomainJoinConfirmPassword', texts.differ)
  return found
}

/** Findings of the service that only follow from another one: of a network's place while none is chosen. */
const follows: Partial<Record<Field, Field[]>> = { virtualNetwork: ['subnet'], subnet: ['virtualNetwork'] }

/** One finding of each field in the order of the form; the page's own words where both have some. */
export function joined(own: Found[], theirs: Found[], order: readonly string[]): Found[] {
  const told = new Set(own.flatMap((o) => [o.field, ...(follows[o.field] ?? [])]))
  const at = (f: Found) => tabs.indexOf(f.tab) * 1000 + order.indexOf(f.field)
  return [...own, ...theirs.filter((t) => !told.has(t.field))].sort((a, b) => at(a) - at(b))
}
