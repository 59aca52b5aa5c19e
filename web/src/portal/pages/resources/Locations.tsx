// Locations, what of their quota is in use, and custom locations.
import { pace, useList, useService } from '../../arm/context'
import { parseID } from '../../arm/ids'
import type { CustomLocation, Location, Usage } from '../../arm/types-resources'
import { Grid, type Column } from '../../frame/Grid'
import { Page } from '../../frame/Page'
import { LocationChoice } from '../../frame/Place'
import { useQuery } from '../../router'
import { portalTexts } from '../../texts/en'

const t = portalTexts.resources

const usageColumns: Column<Usage>[] = [
  { key: 'what', title: t.what, value: (u) => u.name.localizedValue, wide: 2, rank: 1 },
  { key: 'used', title: t.usage, value: (u) => u.currentValue, numeric: true, rank: 1 },
  { key: 'limit', title: t.limit, value: (u) => u.limit, numeric: true, rank: 2 },
  { key: 'left', title: t.left, value: (u) => u.limit - u.currentValue, numeric: true, rank: 1 },
]

const customColumns: Column<CustomLocation>[] = [
  { key: 'name', title: t.name, value: (l) => l.properties.displayName ?? l.name, rank: 1 },
  { key: 'group', title: t.group, value: (l) => parseID(l.id).group, rank: 2 },
  { key: 'location', title: t.location, value: (l) => l.location ?? '', rank: 1 },
]

export default function Locations() {
  const { subscription } = useService()
  const scope = `/subscriptions/${subscription}`
  const locations = useList<Location>(`${scope}/locations`, pace.slow)
  const [tab] = useQuery('tab', 'quota')
  const [location, choose] = useQuery('location', locations.data?.[0]?.name ?? '')
  const custom = useList<CustomLocation>(tab === 'custom' ? `${scope}/providers/Microsoft.ExtendedLocation/customLocations` : '')
  const usages = useList<Usage>(location && tab === 'quota' ? `${scope}/providers/Microsoft.Compute/locations/${location}/usages` : '')
  return (
    <Page title={t.locations} under={t.locationsHint} known={locations} tabs={[{ key: 'quota', text: t.quota }, { key: 'custom', text: t.customLocations }]} fill>
      {tab === 'quota' ? (
        <Grid label={t.quota} columns={usageColumns} rows={usages.data} id={(u) => u.name.value} empty={t.noQuota} tools={<LocationChoice value={location} change={choose} />} noFilter />
      ) : (
        <Grid label={t.customLocations} columns={customColumns} rows={custom.data} id={(l) => l.id} empty={t.customEmpty} name="custom" />
      )}
    </Page>
  )
}
