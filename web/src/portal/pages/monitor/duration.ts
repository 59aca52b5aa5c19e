import { duration } from '../../frame/format'

/** Reads an ISO 8601 duration of days and less, as ARM writes them. */
export function isoDuration(text: string | undefined): { seconds: number; text: string } {
  const found = /^P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?$/.exec(text ?? '')
  if (!found) return { seconds: 0, text: '' }
  const [days, hours, minutes, seconds] = found.slice(1).map((n) => Number(n ?? 0)) as [number, number, number, number]
  const all = days * 86_400 + hours * 3600 + minutes * 60 + seconds
  return { seconds: all, text: duration(all) }
}
