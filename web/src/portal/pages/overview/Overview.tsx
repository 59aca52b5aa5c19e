import { Page } from '../../frame/Page'
import { portalTexts } from '../../texts/en'
import { useList, useService } from '../../arm/context'
import type { Resource } from '../../arm/types'
import { Grid } from '../../frame/Grid'
import { To } from '../../frame/Page'
import { pageOf } from '../kinds'

export default function Overview() {
  const { subscription } = useService()
  const pools = useList<Resource>(`/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization/hostPools`)
  return (
    <Page title={portalTexts.frame.overview} known={pools} fill>
      <Grid
        label="Pools"
        rows={pools.data}
        id={(r) => r.id}
        columns={[
          { key: 'name', title: 'Name', value: (r) => r.name, cell: (r) => <To to={pageOf(r.id)}>{r.name}</To>, rank: 1 },
          { key: 'location', title: 'Location', value: (r) => r.location ?? '' },
        ]}
      />
    </Page>
  )
}
