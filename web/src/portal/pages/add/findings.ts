// What the service finds wrong, by tab and field.
import type { ArmError, Finding } from '../../arm/errors'
import type { Draft, Field, Secrets } from './draft'

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

/** What the page itself can tell: the service compares passwords only where both are given. */
export function ownFindings(d: Draft, s: Secrets, texts: { differ: string }): Found[] {
  const found: Found[] = []
  if (s.password && s.password !== s.confirmPassword) found.push({ tab: 'machines', field: 'confirmPassword', message: texts.differ })
  if (d.directory === 'ActiveDirectory' && s.adDomainJoinPassword && s.adDomainJoinPassword !== s.adDomainJoinConfirmPassword)
    found.push({ tab: 'machines', field: 'adDomainJoinConfirmPassword', message: texts.differ })
  return found
}

/** One finding of each, the page's own first. */
export const joined = (own: Found[], theirs: Found[]) => [...own, ...theirs.filter((t) => !own.some((o) => o.field === t.field))]
