// Makes a new registration key: when it expires, in which zone, and what becomes of the others.
import { useState } from 'react'
import { useService } from '../../arm/context'
import { nameOf } from '../../arm/ids'
import { Panel } from '../../frame/Dialogs'
import { SelectField, SwitchField, TextField } from '../../frame/Fields'
import { act } from '../../frame/notifications'
import { portalTexts } from '../../texts/en'
import { fieldsOf, momentOf, within } from './keys'

const t = portalTexts.hostpools
const day = 86_400_000

export function KeyForm({ pool, close }: { pool: string; close: () => void }) {
  const { arm, live } = useService()
  const [utc, setUTC] = useState(false)
  const [date, setDate] = useState(() => fieldsOf(Date.now() + 7 * day, false).date)
  const [time, setTime] = useState(() => fieldsOf(Date.now() + 7 * day, false).time)
  const [keep, setKeep] = useState(false)
  const at = momentOf(date, time, utc)
  const wrong = within(at, Date.now()) ? undefined : t.outOfBounds
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
  const choose = (value: string) => {
    const fields = fieldsOf(Number.isNaN(at) ? Date.now() + 7 * day : at, value === 'utc') // the same moment
    setUTC(value === 'utc')
    setDate(fields.date)
    setTime(fields.time)
  }
  const run = async () => {
    const registrationInfo = { expirationTime: new Date(at).toISOString(), registrationTokenOperation: 'Update', ...(keep ? { deskyardKeepPreviousKeys: true } : {}) }
    const failed = await act(t.generating(nameOf(pool)), () => arm.patch(pool, { properties: { registrationInfo } }))
    live.reload(pool)
    return failed
  }
  return (
    <Panel title={t.generate} close={close} doIt={portalTexts.frame.ok} run={run} disabled={wrong !== undefined}>
      {t.generateText}
      <TextField label={t.expiresDate} type="date" value={date} change={setDate} hint={t.bounds} error={wrong} required />
      <TextField label={t.expiresTime} type="time" value={time} change={setTime} required />
      <SelectField label={t.zone} value={utc ? 'utc' : 'local'} change={choose} of={[{ value: 'local', text: t.zoneLocal(zone) }, { value: 'utc', text: t.zoneUTC }]} />
      <SwitchField label={t.keepOld} value={keep} change={setKeep} />
    </Panel>
  )
}
