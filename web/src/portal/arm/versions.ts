/** The api-version that the portal speaks to a namespace with. */
const versions: Record<string, string> = {
  'microsoft.desktopvirtualization': '2024-04-03',
  'microsoft.authorization': '2022-04-01',
  'microsoft.compute': '2024-07-01',
  'microsoft.network': '2024-05-01',
  'microsoft.insights': '2015-04-01',
  'microsoft.azurestackhci': '2024-01-01',
  'microsoft.extendedlocation': '2021-08-15',
  'microsoft.hybridcompute': '2024-07-10',
}

/** Special versions of single types. */
const ofType: Record<string, string> = {
  'microsoft.insights/diagnosticsettings': '2021-05-01-preview',
  'microsoft.insights/metrics': '2023-10-01',
  'microsoft.insights/metricdefinitions': '2018-01-01',
  'microsoft.authorization/permissions': '2022-04-01',
}

/** The api-version for a path, by the last namespace that it names. */
export function versionFor(path: string): string {
  const found = [...path.split('?')[0]!.toLowerCase().matchAll(/\/providers\/([^/]+)(?:\/([^/]+))?/g)].at(-1)
  if (!found) return '2022-09-01'
  return ofType[`${found[1]}/${found[2]}`] ?? versions[found[1]!] ?? '2022-09-01'
}
