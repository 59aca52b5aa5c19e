// What there is to choose from.
import { useMemo } from 'react'
import { pace, useList, useLive, useService } from '../../arm/context'
import { groupID, nameOf, sameID } from '../../arm/ids'
import type { Resource } from '../../arm/types'
import type { CustomLocation, Location, SecurityGroup, Usage, VirtualNetwork } from '../../arm/types-resources'
import type { ImageReference, Sku, Stacked } from '../../arm/types-wizard'
import { imagesOf } from '../resources/images'
import { portalTexts } from '../../texts/en'

const t = portalTexts.add

/** An image to choose: of the marketplace's catalogue, a gallery, a managed one, or of a custom location. */
export interface Choice {
  /** What tells it from others. */
  key: string
  text: string
  source: 'marketplace' | 'gallery' | 'managed' | 'location'
  version: string
  /** Whether it is in the short list: always the newest of its versions. */
  latest: boolean
  reference: ImageReference
}

/** What tells an image reference from others. */
export const imageKey = (r: ImageReference | null) => (r ? (r.id ?? [r.publisher, r.offer, r.sku, r.version].join(':')) : '')

/** What an image is called. */
export const imageText = (r: ImageReference | null) => (r ? (r.id ? nameOf(r.id) : [r.publisher, r.offer, r.sku, r.version].join(':')) : '')

/** A size with what it has. */
export interface Size {
  name: string
  cores: number
  memoryGB: number
  premium: boolean
  hibernates: boolean
  trusted: boolean
  confidential: boolean
}

/** Reads a size of Microsoft.Compute/skus. */
export function sizeOf(s: Sku): Size {
  const has = (name: string) => s.capabilities?.find((c) => c.name === name)?.value ?? ''
  return {
    name: s.name, cores: Number(has('vCPUs')), memoryGB: Number(has('MemoryGB')), premium: has('PremiumIO') === 'True', hibernates: has('HibernationSupported') === 'True',
    trusted: has('TrustedLaunchDisabled') !== 'True', confidential: has('ConfidentialComputingType') !== '',
  }
}

/** A size of one's own making, as Custom_2_4096: null for other names. */
export function customSize(name: string): Size | null {
  const m = /^Custom_(\d{1,4})_(\d{3,8})$/i.exec(name)
  return m ? { name, cores: Number(m[1]), memoryGB: Number(m[2]) / 1024, premium: true, hibernates: true, trusted: true, confidential: false } : null
}

/** What the location offers, of Azure's kind. */
export function useAzureChoices(location: string, group: string) {
  const { arm, subscription } = useService()
  const scope = `/subscriptions/${subscription}`
  const compute = `${scope}/providers/Microsoft.Compute`
  const locations = useList<Location>(`${scope}/locations`, pace.once)
  const networks = useList<VirtualNetwork>(`${scope}/providers/Microsoft.Network/virtualNetworks`, pace.slow)
  const securityGroups = useList<SecurityGroup>(`${scope}/providers/Microsoft.Network/networkSecurityGroups`, pace.slow)
  const sets = useList<Resource>(group ? `${groupID(subscription, group)}/providers/Microsoft.Compute/availabilitySets` : '', pace.slow)
  const skus = useList<Sku>(location ? `${compute}/skus?$filter=${encodeURIComponent(`location eq '${location}'`)}` : '', pace.once)
  const usages = useList<Usage>(location ? `${compute}/locations/${location}/usages` : '', pace.slow)
  const images = useLive(
    location ? `images to choose in ${location}` : '',
    async (signal) => {
      const [catalogue, managed, galleries] = await Promise.all([
        imagesOf(arm, subscription, location, signal), arm.list<Resource>(`${compute}/images`, { signal }), arm.list<Resource>(`${compute}/galleries`, { signal }),
      ])
      const definitions = (await Promise.all(galleries.map((g) => arm.list<Resource>(`${g.id}/images`, { signal })))).flat()
      return [
        ...catalogue.filter((i) => i.latest).map((i): Choice => ({ key: '', text: `${i.publisher} ${i.offer} ${i.sku}`, source: 'marketplace', version: t.latest, latest: true, reference: { publisher: i.publisher, offer: i.offer, sku: i.sku, version: 'latest' } })),
        ...catalogue.map((i): Choice => ({ key: '', text: `${i.publisher} ${i.offer} ${i.sku}`, source: 'marketplace', version: i.version, latest: false, reference: { publisher: i.publisher, offer: i.offer, sku: i.sku, version: i.version } })),
        ...definitions.map((d): Choice => ({ key: '', text: d.id.split('/').filter((_, at) => at === 8 || at === 10).join(' / '), source: 'gallery', version: t.latest, latest: true, reference: { id: d.id } })),
        ...managed.filter((m) => sameID(m.location ?? '', location)).map((m): Choice => ({ key: '', text: m.name, source: 'managed', version: '', latest: true, reference: { id: m.id } })),
      ].map((c) => ({ ...c, key: imageKey(c.reference) }))
    },
    pace.once,
  )
  const sizes = useMemo(() => skus.data?.filter((s) => s.resourceType === 'virtualMachines').map(sizeOf), [skus.data])
  return { locations, networks, securityGroups, sets, sizes, usages, images }
}

/** What the custom locations offer. */
export function useStackChoices(location: string) {
  const { subscription } = useService()
  const scope = `/subscriptions/${subscription}/providers`
  const customLocations = useList<CustomLocation>(`${scope}/Microsoft.ExtendedLocation/customLocations`, pace.slow)
  const gallery = useList<Stacked<{ osType?: string }>>(`${scope}/Microsoft.AzureStackHCI/galleryImages`, pace.slow)
  const market = useList<Stacked<{ osType?: string }>>(`${scope}/Microsoft.AzureStackHCI/marketplaceGalleryImages`, pace.slow)
  const logical = useList<Stacked<{ subnets?: { properties: { addressPrefix?: string; ipAllocationMethod?: string } }[] }>>(`${scope}/Microsoft.AzureStackHCI/logicalNetworks`, pace.slow)
  const there = <P>(all: Stacked<P>[] | undefined) => all?.filter((r) => location && sameID(r.extendedLocation?.name ?? '', location))
  const images = gallery.data && market.data ? there([...gallery.data, ...market.data])?.map((i): Choice => ({ key: i.id, text: i.name, source: 'location', version: '', latest: true, reference: { id: i.id } })) : undefined
  return { customLocations, images, networks: there(logical.data) }
}

/** The names that hosts of the pool and machines of the group have. */
export function useNamesInUse(pool: string, group: string): { names: string[]; hostKinds: Set<'azure' | 'stack'>; hosts: number | undefined } {
  const { subscription } = useService()
  const hosts = useList<Resource<{ resourceId?: string }>>(`${pool}/sessionHosts?$top=1000`, pace.once)
  const machines = useList<Resource>(group ? `${groupID(subscription, group)}/resources?$filter=${encodeURIComponent("resourceType eq 'Microsoft.Compute/virtualMachines' or resourceType eq 'Microsoft.HybridCompute/machines'")}` : '', pace.once)
  return useMemo(() => {
    const kindsSeen = new Set<'azure' | 'stack'>()
    for (const h of hosts.data ?? []) {
      const of = h.properties.resourceId?.toLowerCase() ?? ''
      if (of.includes('/microsoft.compute/')) kindsSeen.add('azure')
      if (of.includes('/microsoft.hybridcompute/') || of.includes('/microsoft.azurestackhci/')) kindsSeen.add('stack')
    }
    return { names: [...(hosts.data ?? []).map((h) => nameOf(h.name)), ...(machines.data ?? []).map((m) => m.name)], hostKinds: kindsSeen, hosts: hosts.data?.length }
  }, [hosts.data, machines.data])
}
