// What is asked before something is done to session hosts: whose sessions end, and what goes.
import { useState } from 'react'
import { useService } from '../../arm/context'
import type { ArmError } from '../../arm/errors'
import type { SessionHost } from '../../arm/types-hosts'
import { Confirm, Panel } from '../../frame/Dialogs'
import { LongTextField, TextField } from '../../frame/Fields'
import { portalTexts } from '../../texts/en'
import { calling, hasMachine, message, power, signOutAll } from './actions'
import { Removal, Replacement } from './Going'
import { Lost } from './Lost'

const t = portalTexts.hosts

export type Asked = 'message' | 'signout' | 'restart' | 'stop' | 'remove' | 'replace' | null

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
      return <Replacement hosts={hosts} close={close} after={done} />
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
