// Which page an address leads to. Each is loaded when it is first opened.
import { lazy, type ComponentType, type LazyExoticComponent } from 'react'

/** What a page is given: the resource that it is about, empty for lists. */
export interface PageProps {
  id: string
}

type Lazy = LazyExoticComponent<ComponentType<PageProps>>

const page = (load: () => Promise<{ default: ComponentType<PageProps> }>): Lazy => lazy(load)

/** The pages by the first word of their address. */
export const pages: Record<string, Lazy> = {
  '': page(() => import('./overview/Overview')),
  add: page(() => import('./add/Add')),
  activity: page(() => import('./monitor/Activity')),
  appgroup: page(() => import('./publish/AppGroup')),
  appgroups: page(() => import('./publish/AppGroups')),
  connection: page(() => import('./monitor/Connection')),
  connections: page(() => import('./monitor/Connections')),
  deployment: page(() => import('./monitor/Deployment')),
  deployments: page(() => import('./monitor/Deployments')),
  groups: page(() => import('./access/Groups')),
  host: page(() => import('./hosts/Host')),
  hostpool: page(() => import('./hostpools/HostPool')),
  hostpools: page(() => import('./hostpools/HostPools')),
  'hostpools-new': page(() => import('./hostpools/NewPool')),
  hosts: page(() => import('./hosts/Hosts')),
  images: page(() => import('./resources/Images')),
  locations: page(() => import('./resources/Locations')),
  network: page(() => import('./resources/Network')),
  networks: page(() => import('./resources/Networks')),
  roles: page(() => import('./access/Roles')),
  run: page(() => import('./add/Run')),
  scalingplan: page(() => import('./scaling/Plan')),
  scalingplans: page(() => import('./scaling/Plans')),
  search: page(() => import('./search/Search')),
  user: page(() => import('./access/User')),
  users: page(() => import('./access/Users')),
  workspace: page(() => import('./publish/Workspace')),
  workspaces: page(() => import('./publish/Workspaces')),
}
