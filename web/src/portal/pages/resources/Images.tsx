// The image catalogue of a location.
import { useState } from 'react'
import { pace, useLive, useService } from '../../arm/context'
import { useLocations } from '../../arm/places'
import { Code, CopyButton, Details } from '../../frame/Details'
import { Panel } from '../../frame/Dialogs'
import { Grid, type Column } from '../../frame/Grid'
import { Page } from '../../frame/Page'
import { LocationChoice } from '../../frame/Place'
import { useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import { imagesOf, urnOf, type Image } from './images'

const t = portalTexts.resources

const columns: Column<Image>[] = [
  { key: 'publisher', title: t.publisher, value: (i) => i.publisher, rank: 2 },
  { key: 'offer', title: t.offer, value: (i) => i.offer, rank: 1 },
  { key: 'sku', title: t.sku, value: (i) => i.sku, rank: 1 },
  { key: 'version', title: t.version, value: (i) => i.version, cell: (i) => (i.latest ? `${i.version} (${t.latest})` : i.version), rank: 1 },
  { key: 'urn', title: t.reference, value: urnOf, cell: (i) => <><code>{urnOf(i)}</code> <CopyButton text={urnOf(i)} /></>, wide: 2.4, rank: 3 },
]

export default function Images() {
  const { arm, subscription } = useService()
  const [first] = useLocations()
  const [location, choose] = useQuery('location', first?.name ?? '')
  const known = useLive(location ? `images of ${location}` : '', (signal) => imagesOf(arm, subscription, location, signal), pace.slow)
  const [shown, setShown] = useState<Image | null>(null)
  return (
    <Page title={t.images} known={known} fill>
      <Grid label={t.images} columns={columns} rows={known.data} id={urnOf} open={setShown} empty={t.imagesEmpty} tools={<LocationChoice value={location} change={choose} />} />
      {shown && <ImagePanel image={shown} close={() => setShown(null)} />}
    </Page>
  )
}

function ImagePanel({ image: i, close }: { image: Image; close: () => void }) {
  const reference = { publisher: i.publisher, offer: i.offer, sku: i.sku, version: i.version }
  return (
    <Panel title={`${i.offer} ${i.sku} ${i.version}`} close={close}>
      <Details of={[[t.publisher, i.publisher], [t.offer, i.offer], [t.sku, i.sku], [t.version, i.version], [t.reference, urnOf(i)]]} />
      <Code text={JSON.stringify(reference, null, 2)} label={t.imageReference} />
    </Panel>
  )
}
