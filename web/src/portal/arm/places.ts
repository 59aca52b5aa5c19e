// Where things can be made: resource groups and locations.
import type { Arm } from './arm'
import { pace, useList, useLive, useService } from './context'
import { allows, useMay, type Permission } from './permissions'
import type { Resource } from './types'
import type { Location } from './types-resources'

/** The locations of the service, the first of which is taken where none is chosen. */
export function useLocations(): Location[] {
  const { subscription } = useService()
  return useList<Location>(`/subscriptions/${subscription}/locations`, pace.once).data ?? []
}

export interface Groups {
  /** Those in which the person may do it; undefined until that is known. */
  data: Resource[] | undefined
  /** Whether the person may do it in the whole subscription, new resource groups included. */
  everywhere: boolean
  /** The missing permission where the person may do it nowhere, or it is not known yet; false otherwise. */
  lacks: string | false
}

/** So many groups' permissions are asked for at once. */
const together = 8

/** What the person may do in each of some groups. */
async function permissionsIn(arm: Arm, groups: readonly Resource[], signal: AbortSignal): Promise<Permission[][]> {
  const all: Permission[][] = []
  for (let i = 0; i < groups.length; i += together) {
    all.push(...(await Promise.all(groups.slice(i, i + together).map((g) => arm.list<Permission>(`${g.id}/providers/Microsoft.Authorization/permissions`, { signal })))))
  }
  return all
}

/**
 * The resource groups in which the signed-in person may do something. Where that cannot be
 * learned all are offered: the service decides.
 */
export function useGroups(action: string): Groups {
  const { arm, subscription } = useService()
  const scope = `/subscriptions/${subscription}`
  const may = useMay(scope)
  const all = useList<Resource>(`${scope}/resourceGroups`, pace.slow)
  const everywhere = may(action)
  const asked = may.known && !everywhere && all.data ? all.data : undefined
  const some = useLive(asked ? `permissions in ${asked.map((g) => g.name).join(' ')}` : '', (signal) => permissionsIn(arm, asked ?? [], signal), pace.slow)
  const allowed = some.data && asked?.filter((_, i) => allows(some.data?.[i] ?? [], action))
  const data = everywhere || (some.error && !some.data) ? all.data : allowed
  return { data, everywhere, lacks: everywhere || (data && data.length > 0) ? false : action }
}
