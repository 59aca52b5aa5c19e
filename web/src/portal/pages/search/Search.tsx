// Search of all that has a name: resources, session hosts, people and groups.
import { useMemo } from 'react'
import type { Arm } from '../../arm/arm'
import { graph } from '../../arm/arm'
import { pace, useLive, useService } from '../../arm/context'
import { ArmError } from '../../arm/errors'
import { parseID } from '../../arm/ids'
import type { Resource } from '../../arm/types'
import { Grid, type Column } from '../../frame/Grid'
import { Page, To } from '../../frame/Page'
import { go, href, useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import { loadHosts } from '../hosts/useHosts'
import { pageOf } from '../kinds'

const t = portalTexts.search

interface Found {
  key: string
  name: string
  type: string
  where: string
  to: string
}

interface Person {
  id: string
  displayName: string
  userPrincipalName?: string
}

/** A part of the search that the person may not see finds nothing; any other fault is told. */
async function ifAllowed<T>(list: Promise<T[]>): Promise<T[]> {
  try {
    return await list
  } catch (thrown) {
    if (thrown instanceof ArmError && thrown.status === 403) return []
    throw thrown
  }
}

const ofResource = (r: Resource): Found => {
  const id = parseID(r.id)
  return { key: r.id, name: id.name, type: t.types[id.type.toLowerCase()] ?? id.type, where: id.group, to: pageOf(r.id) }
}

/** Everything with a name that the person may see. */
async function everything(arm: Arm, subscription: string, signal: AbortSignal): Promise<Found[]> {
  const scope = `/subscriptions/${subscription}`
  const [resources, users, groups] = await Promise.all([
    ifAllowed(arm.list<Resource>(`${scope}/resources`, { signal })),
    ifAllowed(arm.list<Person>(`${graph}/users?$top=999`, { signal })),
    ifAllowed(arm.list<Person>(`${graph}/groups?$top=999`, { signal })),
  ])
  const pools = resources.filter((r) => r.type.toLowerCase() === 'microsoft.desktopvirtualization/hostpools')
  const hosts = await Promise.all(pools.map((p) => ifAllowed(loadHosts(arm, [p.id], signal))))
  return [
    ...resources.map(ofResource),
    ...hosts.flat().map((h) => ({ key: h.id, name: parseID(h.id).name, type: t.host, where: parseID(parseID(h.id).parent).name, to: href('host', h.id) })),
    ...users.map((u) => ({ key: u.id, name: u.displayName, type: t.user, where: u.userPrincipalName ?? '', to: href('users', '', { filter: u.userPrincipalName ?? u.displayName }) })),
    ...groups.map((g) => ({ key: g.id, name: g.displayName, type: t.group, where: '', to: href('groups', '', { filter: g.displayName }) })),
  ]
}

const columns: Column<Found>[] = [
  { key: 'name', title: t.name, value: (f) => f.name, cell: (f) => <To to={f.to}>{f.name}</To>, wide: 2, rank: 1 },
  { key: 'type', title: t.type, value: (f) => f.type, rank: 1 },
  { key: 'where', title: t.where, value: (f) => f.where, rank: 2 },
]

/** What has every word of the question in its name, type or place; what begins with it comes first. */
export function ranked(all: readonly Found[], q: string): Found[] {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean)
  const text = (f: Found) => `${f.name}\n${f.type}\n${f.where}`.toLowerCase()
  const rank = (f: Found) => (f.name.toLowerCase() === q.toLowerCase() ? 0 : f.name.toLowerCase().startsWith(q.toLowerCase()) ? 1 : 2)
  return all.filter((f) => words.every((w) => text(f).includes(w))).sort((a, b) => rank(a) - rank(b))
}

export default function Search() {
  const { arm, subscription } = useService()
  const [q] = useQuery('q')
  const all = useLive(`names in ${subscription}`, (signal) => everything(arm, subscription, signal), pace.slow)
  const rows = useMemo(() => all.data && ranked(all.data, q), [all.data, q])
  return (
    <Page title={t.title(q)} under={t.hint} known={all} fill>
      <Grid label={t.title(q)} columns={columns} rows={rows} id={(f) => f.key} open={(f) => go(f.to)} empty={t.nothing} noFilter />
    </Page>
  )
}
