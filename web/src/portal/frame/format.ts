// Times, sizes and numbers as people read them.

const language = 'en'

/** A time of day, with its day where that is not today, and its year where that is not this. */
export function clock(at: number | string, now = new Date()): string {
  const d = new Date(at)
  if (Number.isNaN(d.getTime())) return ''
  if (d.toDateString() === now.toDateString()) return d.toLocaleString(language, { timeStyle: 'medium' })
  if (d.getFullYear() !== now.getFullYear()) return d.toLocaleString(language, { dateStyle: 'medium', timeStyle: 'short' })
  return d.toLocaleString(language, { month: 'short', day: 'numeric', hour: 'numeric', minute: '2-digit' })
}

/** A date and time with the time zone's name. */
export function moment(at: number | string): string {
  const d = new Date(at)
  return Number.isNaN(d.getTime()) ? '' : d.toLocaleString(language, { year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', timeZoneName: 'short' })
}

const units: [Intl.RelativeTimeFormatUnit, number][] = [['day', 86_400], ['hour', 3600], ['minute', 60], ['second', 1]]

/** How long ago, or how soon. */
export function relative(at: number | string, now = Date.now()): string {
  const seconds = Math.round((new Date(at).getTime() - now) / 1000)
  if (Number.isNaN(seconds)) return ''
  const [unit, size] = units.find(([, s]) => Math.abs(seconds) >= s) ?? ['second', 1]
  return new Intl.RelativeTimeFormat(language, { numeric: 'auto' }).format(Math.round(seconds / size), unit)
}

/** A duration in seconds. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return ''
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  const s = Math.round(seconds)
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`
}

/** A number of bytes. */
export function bytes(n: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const at = n < 1 ? 0 : Math.min(Math.floor(Math.log2(n) / 10), names.length - 1)
  return `${(n / 1024 ** at).toFixed(at === 0 || n / 1024 ** at >= 100 ? 0 : 1)} ${names[at]}`
}

/** A whole number with its thousands set apart. */
export const count = (n: number) => n.toLocaleString(language)

/** A mean of counts. */
export const tenths = (n: number) => n.toLocaleString(language, { maximumFractionDigits: 1 })
