// Before session hosts go, for good or to be made anew: how those who work on them are sent
// off, and what is done where a host does not answer.
import { useState } from 'react'
import { useService } from '../../arm/context'
import type { SessionHost } from '../../arm/types-hosts'
import { Confirm } from '../../frame/Dialogs'
import { CheckField, NumberField } from '../../frame/Fields'
import { portalTexts } from '../../texts/en'
import { calling, hasMachine, remove, replace, sessionsOn, type Farewell } from './actions'
import { Lost } from './Lost'

const t = portalTexts.hosts

/** What the service takes: a day. */
const longest = 24 * 60

const valid = (minutes: number | null): minutes is number => minutes !== null && Number.isInteger(minutes) && minutes >= 0 && minutes <= longest

function useFarewell(hosts: readonly SessionHost[]) {
  const [minutes, setMinutes] = useState<number | null>(0)
  const [force, setForce] = useState(false)
  const farewell: Farewell | null = force ? { force, graceSeconds: 0 } : valid(minutes) ? { force, graceSeconds: minutes * 60 } : null
  const fields = (
    <>
      {sessionsOn(hosts) > 0 && (
        <NumberField label={t.grace} hint={t.graceHint} value={force ? 0 : minutes} change={setMinutes} min={0} max={longest} disabled={force} error={force || valid(minutes) ? undefined : t.graceBounds(longest)} />
      )}
      <CheckField label={t.force} hint={t.forceHint} value={force} change={setForce} />
    </>
  )
  return { farewell, fields }
}

interface Props {
  hosts: SessionHost[]
  close: () => void
  after: () => void
}

/** Asks before hosts are removed, with their machines or without. */
export function Removal({ hosts, close, after }: Props) {
  const { arm } = useService()
  const machines = hosts.filter(hasMachine).length
  const [deleteMachine, setDeleteMachine] = useState(machines > 0)
  const { farewell, fields } = useFarewell(hosts)
  return (
    <Confirm title={`${t.removing(calling(hosts))}?`} doIt={t.remove} type={calling(hosts)} blocked={!farewell} run={() => farewell && void remove(arm, hosts, { ...farewell, deleteMachine }).then(after)} close={close}>
      <Lost hosts={hosts} />
      {t.removeText}
      {machines > 0 && <CheckField label={t.removeMachines(machines)} hint={t.removeMachineHint} value={deleteMachine} change={setDeleteMachine} />}
      {fields}
    </Confirm>
  )
}

/** Asks before hosts are made anew. */
export function Replacement({ hosts, close, after }: Props) {
  const { arm } = useService()
  const { farewell, fields } = useFarewell(hosts)
  return (
    <Confirm title={`${t.replacing(calling(hosts))}?`} doIt={t.replace} type={calling(hosts)} blocked={!farewell} run={() => farewell && void replace(arm, hosts, farewell).then(after)} close={close}>
      <Lost hosts={hosts} />
      {t.replaceText}
      {fields}
    </Confirm>
  )
}
