// The names of hosts to come.

/** The most characters of a prefix, and of a computer's name. */
export const longestPrefix = 11
export const longestName = 15

/** The number in PREFIX-N or PREFIX-N.DOMAIN; null for other names. */
export function numberIn(name: string, prefix: string): number | null {
  const short = name.split('.')[0] ?? ''
  const at = short.lastIndexOf('-')
  if (at < 0 || short.slice(0, at).toLowerCase() !== prefix.toLowerCase()) return null
  const digits = short.slice(at + 1)
  return /^\d{1,9}$/.test(digits) ? Number(digits) : null
}

/** The names that a run would get: behind the highest number in use. */
export function namesFor(prefix: string, count: number, inUse: readonly string[]): string[] {
  const next = inUse.reduce((n, name) => Math.max(n, (numberIn(name, prefix) ?? -1) + 1), 0)
  return Array.from({ length: Math.max(0, Math.min(count, 400)) }, (_, i) => `${prefix}-${next + i}`)
}

/** What is wrong with a prefix, while it is typed. */
export function prefixFault(prefix: string, last: string | undefined): 'long' | 'form' | 'name' | null {
  if (prefix === '') return null
  if (prefix.length > longestPrefix) return 'long'
  if (!/^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$/.test(prefix) || /^\d+$/.test(prefix)) return 'form'
  return last !== undefined && last.length > longestName ? 'name' : null
}
