// Chooses a user or a group by a part of the name.
import { Combobox, Field, Option } from '@fluentui/react-components'
import { useMemo, useState } from 'react'
import { portalTexts } from '../../texts/en'
import { usePrincipals, type Principal } from './directory'

const t = portalTexts.access

/** Not more than so many are offered at once. */
const most = 30

interface Props {
  label: string
  chosen: Principal | null
  choose: (p: Principal | null) => void
  /** Only these kinds. */
  kinds?: Principal['kind'][]
}

const textOf = (p: Principal) => (p.detail ? `${p.name} (${p.detail})` : `${p.name} (${t.group})`)

export function PrincipalPicker({ label, chosen, choose, kinds }: Props) {
  const all = usePrincipals()
  const [typed, setTyped] = useState(chosen ? textOf(chosen) : '')
  const offered = useMemo(() => {
    const text = typed.toLowerCase()
    return (all.data ?? []).filter((p) => (!kinds || kinds.includes(p.kind)) && textOf(p).toLowerCase().includes(text)).slice(0, most)
  }, [all.data, typed, kinds])
  return (
    <Field label={label} hint={t.principalHint} required validationMessage={typed && all.data && offered.length === 0 && !chosen ? t.nobody : null}>
      <Combobox
        freeform
        value={typed}
        selectedOptions={chosen ? [chosen.id] : []}
        onChange={(e) => {
          setTyped(e.target.value)
          choose(null)
        }}
        onOptionSelect={(_, d) => {
          const found = all.data?.find((p) => p.id === d.optionValue) ?? null
          setTyped(found ? textOf(found) : '')
          choose(found)
        }}
      >
        {offered.map((p) => (
          <Option key={p.id} value={p.id} text={textOf(p)}>
            {textOf(p)}
          </Option>
        ))}
      </Combobox>
    </Field>
  )
}
