// Makes or changes one schedule of a plan.
import { useState } from 'react'
import { useService } from '../../arm/context'
import type { ClockTime, Schedule } from '../../arm/types-scaling'
import { Panel } from '../../frame/Dialogs'
import { CheckField, NumberField, Section, SelectField, SwitchField, TextField } from '../../frame/Fields'
import { useFindings } from '../../frame/form'
import { act } from '../../frame/notifications'
import { portalTexts } from '../../texts/en'
import { clockOf, clockText, days, fresh, phases, schedulesPath, settingsOf, type Setting } from './phases'

const t = portalTexts.scaling

interface Props {
  plan: string
  poolType: string
  /** The schedule to change; a new one where it is left out. */
  schedule?: Schedule | undefined
  /** Days that other schedules of the plan have. */
  taken: string[]
  close: () => void
}

export function ScheduleForm({ plan, poolType, schedule, taken, close }: Props) {
  const { arm, live } = useService()
  const [name, setName] = useState(schedule?.name ?? '')
  const [values, setValues] = useState<Schedule['properties']>(() => schedule?.properties ?? { ...fresh(poolType), daysOfWeek: days.slice(0, 5).filter((d) => !taken.includes(d)) })
  const { show, finding } = useFindings()
  const set = (key: string, value: unknown) => setValues((v) => ({ ...v, [key]: value }))
  const path = schedulesPath(plan, poolType)
  const run = async () => {
    const failed = await act(t.saving(name), () => arm.put(`${path}/${encodeURIComponent(name)}`, { properties: values }))
    show(failed)
    live.reload(path)
    return failed
  }
  const day = (d: string, on: boolean) => set('daysOfWeek', days.filter((x) => (x === d ? on : values.daysOfWeek.includes(x))))
  return (
    <Panel title={schedule ? t.editSchedule(schedule.name) : t.addSchedule} close={close} run={run} disabled={!name || values.daysOfWeek.length === 0} wide>
      {!schedule && <TextField label={t.name} value={name} change={setName} required error={finding('name')} />}
      <Section title={t.days}>
        {days.map((d) => (
          <CheckField key={d} label={d} value={values.daysOfWeek.includes(d)} change={(on) => day(d, on)} disabled={taken.includes(d)} />
        ))}
      </Section>
      {phases.map((phase) => (
        <Section key={phase} title={t.phases[phase] ?? phase}>
          <TextField label={t.begins} type="time" value={clockText(values[`${phase}StartTime`] as ClockTime | null)} change={(v) => set(`${phase}StartTime`, clockOf(v))} required error={finding(`${phase}StartTime`)} />
          {settingsOf(poolType)[phase].map((s) => (
            <SettingField key={s.name} setting={s} value={values[phase + s.name]} change={(v) => set(phase + s.name, v)} error={finding(phase + s.name)} />
          ))}
        </Section>
      ))}
    </Panel>
  )
}

function SettingField({ setting: s, value, change, error }: { setting: Setting; value: unknown; change: (v: unknown) => void; error: string | undefined }) {
  const label = t.fields[s.name] ?? s.name
  switch (s.kind) {
    case 'number':
      return <NumberField label={label} value={typeof value === 'number' ? value : null} change={change} min={s.min} max={s.max} error={error} {...(s.unit ? { unit: t.minutes } : {})} />
    case 'choice':
      return <SelectField label={label} value={typeof value === 'string' ? value : ''} change={change} of={s.of.map((v) => ({ value: v, text: t.values[v] ?? v }))} error={error} />
    case 'switch':
      return <SwitchField label={label} value={value === true} change={change} error={error} />
    case 'text':
      return <TextField label={label} value={typeof value === 'string' ? value : ''} change={change} error={error} />
  }
}
