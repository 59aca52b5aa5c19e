// What is asked before something is done to session hosts: whose sessions end, and what goes.
import { useState } from 'react'
import { pace, useLive, useService } from '../../arm/context'
import type { ArmError } from '../../arm/errors'
import type { SessionHost, UserSession } from '../../arm/types-hosts'
import { Confirm, Panel } from '../../frame/Dialogs'
import { CheckField, LongTextField, TextField } from '../../frame/Fields'
import { portalTexts } from '../../texts/en'
import { calling, hasMachine, message, power, remove, replace, sessionsOn, signOutAll, stands } from './actions'

const t = portalTexts.hosts

export type Asked = 'message' | 'signout' | 'restart' | 'stop' | 'remove' | 'replace' | null

/** Of more hosts than these only the number of sessions is told. */
const named = 20

/** Whose sessions end, by name where there are few. */
export function Lost({ hosts }: { hosts: readonly SessionHost[] }) {
  const { arm } = useService()
  const all = sessionsOn(hosts)
  const busy = hosts.filter((h) => (h.properties.sessions ?? 0) > 0)
  const ask = busy.length > 0 && busy.length <= named
  const users = useLive(
    ask ? `users of ${busy.map((h) => h.id).join(' ')}` : '',
    async (signal) => (await Promise.all(busy.map((h) => arm.list<UserSession>(`${h.id}/userSessions`, { signal })))).flat().filter(stands).map((s) => s.properties.userPrincipalName),
    pace.live,
  )
  if (all === 0) return <span>{t.noSessionEnds}</span>
  return <span>{t.sessionsEnd(users.data?.length ?? all, [...new Set(users.data ?? [])].sort().join(', '))}</span>
}

interface Props {
  asked: Asked
  hosts: SessionHost[]
  close: () => void
  done: () => void
}

/** Asks before something is done to some hosts, and for what it needs. */
export function HostQuestion({ asked, hosts, close, done }: Props) {
  const { arm } = useService()
  const what = calling(hosts)
  const machines = hosts.filter(hasMachine)
  switch (asked) {
    case 'message':
      return <MessagePanel to={what} send={async (title, body) => (await message(arm, hosts, title, body))[0] ?? null} close={close} />
    case 'remove':
      return <Removal hosts={hosts} close={close} after={done} />
    case 'signout':
      return (
        <Confirm title={`${t.signingOutOf(what)}?`} doIt={t.signOutUsers} run={() => void signOutAll(arm, hosts).then(done)} close={close}>
          <Lost hosts={hosts} />
          {t.signOutText}
        </Confirm>
      )
    case 'restart':
    case 'stop':
      return (
        <Confirm title={`${asked === 'restart' ? t.restarting(calling(machines)) : t.stopping(calling(machines))}?`} doIt={asked === 'restart' ? t.restart : t.stop} run={() => void power(arm, machines, asked === 'restart' ? 'restart' : 'deallocate').then(done)} close={close}>
          <Lost hosts={machines} />
          {t.restartText}
        </Confirm>
      )
    case 'replace':
      return (
        <Confirm title={`${t.replacing(what)}?`} doIt={t.replace} type={what} run={() => void Promise.all(hosts.map((h) => replace(arm, h))).then(done)} close={close}>
          <Lost hosts={hosts} />
          {t.replaceText}
        </Confirm>
      )
    default:
      return null
  }
}

/** Asks for a message, and sends it. */
export function MessagePanel({ to, send, close }: { to: string; send: (title: string, body: string) => Promise<ArmError | null>; close: () => void }) {
  const [title, setTitle] = useState('')
  const [body, setBody] = useState('')
  return (
    <Panel title={t.sending(to)} close={close} doIt={t.message} run={() => send(title, body)} disabled={!title || !body}>
      <TextField label={t.messageTitle} value={title} change={setTitle} required />
      <LongTextField label={t.messageBody} value={body} change={setBody} required />
    </Panel>
  )
}

function Removal({ hosts, close, after }: { hosts: SessionHost[]; close: () => void; after: () => void }) {
  const { arm } = useService()
  const machines = hosts.filter(hasMachine).length
  const [machine, setMachine] = useState(machines > 0)
  const [force, setForce] = useState(false)
  return (
    <Confirm title={`${t.removing(calling(hosts))}?`} doIt={t.remove} type={calling(hosts)} run={() => void remove(arm, hosts, { deleteMachine: machine, force }).then(after)} close={close}>
      <Lost hosts={hosts} />
      {t.removeText}
      {machines > 0 && <CheckField label={t.removeMachines(machines)} hint={t.removeMachineHint} value={machine} change={setMachine} />}
      {sessionsOn(hosts) > 0 && <CheckField label={t.force} value={force} change={setForce} />}
    </Confirm>
  )
}
