// Resource ids: /subscriptions/{s}/resourceGroups/{g}/providers/{namespace}/{type}/{name}/{child type}/{name}…

export interface ResourceID {
  id: string
  subscription: string
  group: string
  /** Namespace and types, as Microsoft.DesktopVirtualization/hostPools/sessionHosts; the group's or subscription's own type otherwise. */
  type: string
  name: string
  /** The id of the resource that holds this one: a host pool for a session host, a resource group for a host pool. */
  parent: string
}

/** Reads a resource id. The parts that an id lacks are empty. */
export function parseID(id: string): ResourceID {
  const parts = id.split('/').filter(Boolean)
  const at = parts.findLastIndex((p) => p.toLowerCase() === 'providers')
  const scope = at < 0 ? parts : parts.slice(0, at)
  const value = (name: string) => scope[scope.findIndex((p) => p.toLowerCase() === name) + 1] ?? ''
  const found: ResourceID = {
    id, subscription: scope[0]?.toLowerCase() === 'subscriptions' ? value('subscriptions') : '', group: scope.length >= 4 ? value('resourcegroups') : '', type: '', name: '', parent: '',
  }
  if (at < 0) {
    return { ...found, type: found.group ? 'Microsoft.Resources/resourceGroups' : 'Microsoft.Resources/subscriptions', name: parts.at(-1) ?? '', parent: found.group ? '/' + scope.slice(0, 2).join('/') : '' }
  }
  const [namespace = '', ...pairs] = parts.slice(at + 1)
  const types = pairs.filter((_, i) => i % 2 === 0)
  const nested = pairs.length > 2
  return {
    ...found, type: [namespace, ...types].join('/'), name: pairs.length % 2 === 0 ? (pairs.at(-1) ?? '') : '',
    parent: '/' + (nested ? parts.slice(0, -2) : scope).join('/'),
  }
}

/** The name at the end of an id. */
export const nameOf = (id: string) => id.slice(id.lastIndexOf('/') + 1)

/** Whether two ids name the same thing: ids are equal in any case. */
export const sameID = (a: string, b: string) => a.toLowerCase() === b.toLowerCase()

/** A resource group's id. */
export const groupID = (subscription: string, group: string) => `/subscriptions/${subscription}/resourceGroups/${group}`
