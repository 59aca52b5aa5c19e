// The rules of a security group in the order in which they are tried.
import type { SecurityRule } from '../../arm/types-resources'
import { Grid, type Column } from '../../frame/Grid'
import { Status } from '../../frame/Status'
import { portalTexts } from '../../texts/en'

const t = portalTexts.resources

const some = (one: string | undefined, many: string[] | undefined) => (many && many.length > 0 ? many.join(', ') : (one ?? '*'))

const columns: Column<SecurityRule>[] = [
  { key: 'priority', title: t.priority, value: (r) => r.properties.priority, numeric: true, rank: 1, wide: 0.7 },
  { key: 'name', title: t.name, value: (r) => r.name, rank: 1, wide: 1.8 },
  { key: 'direction', title: t.direction, value: (r) => r.properties.direction, rank: 2 },
  { key: 'access', title: t.access, value: (r) => r.properties.access, cell: (r) => <Status tone={r.properties.access === 'Allow' ? 'good' : 'bad'}>{r.properties.access}</Status>, rank: 1 },
  { key: 'protocol', title: t.protocol, value: (r) => r.properties.protocol, rank: 2, wide: 0.7 },
  { key: 'from', title: t.from, value: (r) => some(r.properties.sourceAddressPrefix, r.properties.sourceAddressPrefixes), rank: 2 },
  { key: 'to', title: t.to, value: (r) => some(r.properties.destinationAddressPrefix, r.properties.destinationAddressPrefixes), rank: 2 },
  { key: 'ports', title: t.ports, value: (r) => some(r.properties.destinationPortRange, r.properties.destinationPortRanges), rank: 1 },
]

/** Those of a direction by priority, inbound first. */
export const ordered = (rules: readonly SecurityRule[]) =>
  [...rules].sort((a, b) => a.properties.direction.localeCompare(b.properties.direction) || a.properties.priority - b.properties.priority)

export function RulesTable({ rules }: { rules: readonly SecurityRule[] }) {
  return <Grid label={t.rules} columns={columns} rows={ordered(rules)} id={(r) => r.properties.direction + r.name} noFilter name="rules" />
}
