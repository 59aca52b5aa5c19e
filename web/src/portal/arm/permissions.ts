import { useService, useLive, pace } from './context'

/** What Microsoft.Authorization/permissions answers for a scope. */
export interface Permission {
  actions: string[]
  notActions: string[]
  dataActions: string[]
  notDataActions: string[]
}

/** Whether a pattern such as Microsoft.DesktopVirtualization/*\/read covers an action. */
export function covers(pattern: string, action: string): boolean {
  const text = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')).join('.*')
  return new RegExp(`^${text}$`, 'i').test(action)
}

/** Whether a set of permissions allows an action. */
export function allows(permissions: Permission[], action: string): boolean {
  return permissions.some((p) => p.actions.some((a) => covers(a, action)) && !p.notActions.some((a) => covers(a, action)))
}

/** What the person may do at a scope. */
export interface May {
  /** False too while it is not known yet: no button that would fail is offered. */
  (action: string): boolean
  /** Whether the answer has come. */
  known: boolean
}

/**
 * What the signed-in person may do at a scope. It only decides what is offered: the service
 * decides what is done.
 */
export function useMay(scope: string): May {
  const { arm } = useService()
  const path = `${scope === '/' ? '' : scope}/providers/Microsoft.Authorization/permissions`
  const { data } = useLive(scope ? path : '', (signal) => arm.list<Permission>(path, { signal }), pace.slow)
  return Object.assign((action: string) => data !== undefined && allows(data, action), { known: data !== undefined })
}
