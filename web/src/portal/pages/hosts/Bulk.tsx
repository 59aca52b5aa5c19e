// What can be done to the chosen session hosts.
import { Toolbar, makeStyles } from '@fluentui/react-components'
import { ArrowResetRegular, ChatRegular, DeleteRegular, DoorArrowLeftRegular, DoorRegular, PlayRegular, StopRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { useService } from '../../arm/context'
import { parseID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { SessionHost } from '../../arm/types-hosts'
import { Confirm, Panel } from '../../frame/Dialogs'
import { CheckField, LongTextField, TextField } from '../../frame/Fields'
import { CommandButton, type Command } from '../../frame/Page'
import { portalTexts } from '../../texts/en'
import { calling, drain, hasMachine, message, need, power, remove } from './actions'

const t = portalTexts.hosts

const useStyles = makeStyles({ bar: { flexWrap: 'wrap', padding: 0 } })

type Asked = 'message' | 'restart' | 'stop' | 'remove' | null

/** The commands for some hosts; they cannot be used while none is chosen. */
export function useHostCommands(hosts: readonly SessionHost[], ask: (what: Asked) => void, done: () => void): Command[] {
  const { arm, live, subscription } = useService()
  // Rights are asked for where they are the same for all that is chosen.
  const pools = new Set(hosts.map((h) => parseID(h.id).parent.toLowerCase()))
  const may = useMay(pools.size === 1 ? parseID(hosts[0]!.id).parent : `/subscriptions/${subscription}`)
  const lacks = (action: string) => hosts.length > 0 && may.known && !may(action) && action
  const after = () => {
    done()
    live.reload('session hosts')
    live.reload('/sessionHosts/')
  }
  const common = { disabled: hosts.length === 0 }
  const powered = { disabled: !hosts.some(hasMachine) }
  return [
    { ...common, key: 'drain', text: t.drainOn, icon: <DoorRegular />, run: () => void drain(arm, hosts, true).then(after), lacks: lacks(need.write) },
    { ...common, key: 'undrain', text: t.drainOff, icon: <DoorArrowLeftRegular />, run: () => void drain(arm, hosts, false).then(after), lacks: lacks(need.write) },
    { ...common, key: 'message', text: t.message, icon: <ChatRegular />, run: () => ask('message'), lacks: lacks(need.message) },
    { ...powered, key: 'start', text: t.start, icon: <PlayRegular />, run: () => void power(arm, hosts, 'start').then(after), lacks: lacks(need.start) },
    { ...powered, key: 'restart', text: t.restart, icon: <ArrowResetRegular />, run: () => ask('restart'), lacks: lacks(need.restart) },
    { ...powered, key: 'stop', text: t.stop, icon: <StopRegular />, run: () => ask('stop'), lacks: lacks(need.stop) },
    { ...common, key: 'remove', text: t.remove, icon: <DeleteRegular />, run: () => ask('remove'), lacks: lacks(need.remove) },
  ]
}

export function Bulk({ hosts, done }: { hosts: SessionHost[]; done: () => void }) {
  const styles = useStyles()
  const [asked, ask] = useState<Asked>(null)
  const commands = useHostCommands(hosts, ask, done)
  return (
    <>
      <Toolbar aria-label={t.actions} className={styles.bar}>
        {commands.map((c) => (
          <CommandButton key={c.key} command={c} />
        ))}
      </Toolbar>
      <HostQuestion asked={asked} hosts={hosts} close={() => ask(null)} done={done} />
    </>
  )
}

/** Asks before something is done to some hosts, and for what it needs. */
export function HostQuestion({ asked, hosts, close, done }: { asked: Asked; hosts: SessionHost[]; close: () => void; done: () => void }) {
  const { arm, live } = useService()
  const after = () => {
    done()
    live.reload('session hosts')
    live.reload('/sessionHosts/')
  }
  if (asked === 'message') return <MessagePanel hosts={hosts} close={close} />
  if (asked === 'remove') return <Removal hosts={hosts} close={close} after={after} />
  if (asked === 'restart' || asked === 'stop') {
    const title = asked === 'restart' ? t.restarting(calling(hosts)) : t.stopping(calling(hosts))
    return (
      <Confirm title={`${title}?`} doIt={asked === 'restart' ? t.restart : t.stop} run={() => void power(arm, hosts, asked === 'restart' ? 'restart' : 'deallocate').then(after)} close={close}>
        {t.restartText}
      </Confirm>
    )
  }
  return null
}

function MessagePanel({ hosts, close }: { hosts: SessionHost[]; close: () => void }) {
  const { arm } = useService()
  const [title, setTitle] = useState('')
  const [body, setBody] = useState('')
  const run = async () => (await message(arm, hosts, title, body))[0] ?? null
  return (
    <Panel title={t.sending(calling(hosts))} close={close} doIt={t.message} run={run} disabled={!title || !body}>
      <TextField label={t.messageTitle} value={title} change={setTitle} required />
      <LongTextField label={t.messageBody} value={body} change={setBody} required />
    </Panel>
  )
}

function Removal({ hosts, close, after }: { hosts: SessionHost[]; close: () => void; after: () => void }) {
  const { arm } = useService()
  const [machine, setMachine] = useState(true)
  const [force, setForce] = useState(false)
  return (
    <Confirm title={`${t.removing(calling(hosts))}?`} doIt={t.remove} type={calling(hosts)} run={() => void remove(arm, hosts, { deleteMachine: machine, force }).then(after)} close={close}>
      {t.removeText}
      <CheckField label={t.removeMachine} value={machine} change={setMachine} />
      <CheckField label={t.force} value={force} change={setForce} />
    </Confirm>
  )
}
