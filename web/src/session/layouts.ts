// Keyboard layouts that a desktop can be told that this device's keys have, by language,
// as Windows numbers them.
const layouts: Record<string, string> = {
  'da': '0406', 'de': '0407', 'de-CH': '0807', 'en-US': '0409', 'en-GB': '0809', 'es': '040a', 'es-MX': '080a', 'fi': '040b', 'fr': '040c', 'fr-BE': '080c', 'fr-CH': '100c',
  'it': '0410', 'ja': '0411', 'ko': '0412', 'nb': '0414', 'nl': '0413', 'nl-BE': '0813', 'pl': '0415', 'pt': '0816', 'pt-BR': '0416', 'ru': '0419', 'sv': '041d', 'tr': '041f',
}

/** The layout of the first of a person's languages that has one; '' leaves it to the host. */
export function layoutOf(languages: readonly string[]): string {
  for (const tag of languages) {
    const short = tag.split('-')[0] ?? ''
    const found = layouts[tag] ?? layouts[short] ?? (short === 'en' ? layouts['en-US'] : undefined)
    if (found) return found
  }
  return ''
}

/** Names of the layouts, by number, in the order of the alphabet. */
export const layoutNames: readonly (readonly [string, string])[] = (() => {
  const names = new Intl.DisplayNames(['en'], { type: 'language' })
  return Object.entries(layouts)
    .map(([language, number]) => [number, names.of(language) ?? language] as const)
    .sort((a, b) => a[1].localeCompare(b[1], 'en'))
})()

/** Whether it is a layout that can be chosen. */
export const isLayout = (number: unknown): number is string => number === 'auto' || Object.values(layouts).includes(number as string)

/** A gateway's address, with the layout that the desktop is to take keys by. */
export function withLayout(gateway: string, chosen: string, languages: readonly string[]): string {
  const layout = chosen === 'auto' ? layoutOf(languages) : chosen
  if (!layout) return gateway
  const url = new URL(gateway)
  url.searchParams.set('keyboard', layout)
  return url.href
}
