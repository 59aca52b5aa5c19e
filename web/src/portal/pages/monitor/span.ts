// How far back a page looks.
import { useMemo } from 'react'
import { useQuery } from '../../router'
import { portalTexts } from '../../texts/en'

const t = portalTexts.monitor

export const spans = [
  { value: 'hour', text: t.hour, ms: 3_600_000 },
  { value: 'day', text: t.day, ms: 86_400_000 },
  { value: 'week', text: t.week, ms: 7 * 86_400_000 },
  { value: 'month', text: t.month, ms: 30 * 86_400_000 },
] as const

/** The chosen span, and since when it is, to the minute, so that a list has one address for a while. */
export function useSpan(): { span: string; since: string; choose: (span: string) => void } {
  const [span, choose] = useQuery('span', 'day')
  const since = useMemo(() => {
    const ms = spans.find((s) => s.value === span)?.ms ?? spans[1].ms
    return new Date(Math.floor((Date.now() - ms) / 60_000) * 60_000).toISOString()
  }, [span])
  return { span, since, choose }
}
