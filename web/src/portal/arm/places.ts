// Where things can be made: resource groups and locations.
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

/** The resource groups in which the signed-in person may do something. */
export function useGroups(action: string): Groups {
  const { arm, subscription } = useService()
  const scope = `/subscriptions/${subscription}`
  const may = useMay(scope)
  const all = useList<Resource>(`${scope}/resourceGroups`, pace.slow)
  const everywhere = may(action)
  const asked = may.known && !everywhere && all.data ? all.data : undefined
  const some = useLive(
    asked ? `${action} in ${asked.map((g) => g.name).join(' ')}` : '',
    async (signal) => {
      const allowed = await Promise.all((asked ?? []).map((g) => arm.list<Permission>(`${g.id}/providers/Microsoft.Authorization/permissions`, { signal })))
      return asked?.filter((_, i) => allows(allowed[i] ?? [], action)) ?? []
    },
    pace.slow,
  )
  const data = everywhere ? all.data : some.data
  return { data, everywhere, lacks: everywhere || (data && data.length > 0) ? false : action }
}
