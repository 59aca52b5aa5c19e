import { Select } from '@fluentui/react-components'
import { portalTexts } from '../../texts/en'
import { spans } from './span'

/** Chooses how far back a page looks. */
export function SpanSelect({ span, choose }: { span: string; choose: (span: string) => void }) {
  return (
    <Select aria-label={portalTexts.monitor.span} value={span} onChange={(_, d) => choose(d.value)}>
      {spans.map((s) => (
        <option key={s.value} value={s.value}>
          {s.text}
        </option>
      ))}
    </Select>
  )
}
