// Which page shows a resource of a type.
import { parseID } from '../arm/ids'
import { href } from '../router'

const pageOfType: Record<string, string> = {
  'microsoft.desktopvirtualization/hostpools': 'hostpool',
  'microsoft.desktopvirtualization/hostpools/sessionhosts': 'host',
  'microsoft.desktopvirtualization/hostpools/sessionhostruns': 'run',
  'microsoft.desktopvirtualization/applicationgroups': 'appgroup',
  'microsoft.desktopvirtualization/applicationgroups/applications': 'appgroup',
  'microsoft.desktopvirtualization/workspaces': 'workspace',
  'microsoft.desktopvirtualization/scalingplans': 'scalingplan',
  'microsoft.resources/deployments': 'deployment',
  'microsoft.network/virtualnetworks': 'network',
  'microsoft.compute/virtualmachines': 'machine',
}

/** The address of the page about a resource; of the activity log's entries about it where it has no page. */
export function pageOf(id: string): string {
  const r = parseID(id)
  const page = pageOfType[r.type.toLowerCase()]
  if (!page) return href('activity', '', { resource: id })
  return href(page, r.type.toLowerCase().endsWith('/applications') ? r.parent : id)
}
