// The images that machines can be made from, gathered as Azure's tools gather them: by
// publisher, offer, SKU and version.
import type { Arm } from '../../arm/arm'

export interface Image {
  publisher: string
  offer: string
  sku: string
  version: string
  /** Whether `latest` means this one. */
  latest: boolean
}

interface Named {
  name: string
}

/** All versions of all images of a location. */
export async function imagesOf(arm: Arm, subscription: string, location: string, signal: AbortSignal): Promise<Image[]> {
  const root = `/subscriptions/${subscription}/providers/Microsoft.Compute/locations/${location}/publishers`
  const names = async (path: string) => (await arm.get<Named[]>(path, { signal })).map((n) => n.name)
  const each = async <T>(list: string[], of: (name: string) => Promise<T[]>) => (await Promise.all(list.map(of))).flat()
  return each(await names(root), async (publisher) => {
    const offers = `${root}/${publisher}/artifacttypes/vmimage/offers`
    return each(await names(offers), async (offer) => {
      const skus = `${offers}/${offer}/skus`
      return each(await names(skus), async (sku) => {
        const versions = await names(`${skus}/${sku}/versions`)
        const newest = newestOf(versions)
        return versions.map((version) => ({ publisher, offer, sku, version, latest: version === newest }))
      })
    })
  })
}

/** The newest of versions such as 1.10.0. */
export function newestOf(versions: string[]): string | undefined {
  return [...versions].sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1)
}

/** publisher:offer:sku:version, as the tools take it. */
export const urnOf = (i: Image) => `${i.publisher}:${i.offer}:${i.sku}:${i.version}`
