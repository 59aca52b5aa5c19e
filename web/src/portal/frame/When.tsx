// A time in a list: short, with the date and the time zone when it is pointed at.
import { clock, moment } from './format'

export function When({ at }: { at: number | string }) {
  if (!at) return null
  return (
    <time dateTime={new Date(at).toISOString()} title={moment(at)}>
      {clock(at)}
    </time>
  )
}
