// What can be done to the chosen session hosts.
import { Toolbar, makeStyles, mergeClasses } from '@fluentui/react-components'
import { ArrowResetRegular, ArrowSyncRegular, ChatRegular, DeleteRegular, DoorArrowLeftRegular, DoorRegular, PlayRegular, SignOutRegular, StopRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { useService } from '../../arm/context'
import { parseID, sameID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { SessionHost } from '../../arm/types-hosts'
import { CommandButton, type Command } from '../../frame/Page'
import { portalTexts } from '../../texts/en'
import { drain, hasMachine, need, power, sessionsOn, updateNow } from './actions'
import { HostQuestion, type Asked } from './Questions'

const t = portalTexts.hosts

const useStyles = makeStyles({
  bar: { flexWrap: 'wrap', padding: 0 },
  idle: { '@media (max-width: 700px)': { display: 'none' } }, // rows of buttons that cannot be pressed
})

/** The one scope that holds all, or everything. */
function common(scopes: string[], everything: string): string {
  const [first, ...others] = scopes
  return first && others.every((s) => sameID(s, first)) ? first : everything
}

/** The commands for some hosts; they cannot be used while none is chosen. */
export function useHostCommands(hosts: readonly SessionHost[], ask: (what: Asked) => void, done: () => void): Command[] {
  const { arm, live, subscription } = useService()
  const everything = `/subscriptions/${subscription}`
  const machines = hosts.filter(hasMachine)
  // Rights are asked for where they are the same for all that is chosen.
  const may = useMay(common(hosts.map((h) => parseID(h.id).parent), everything))
  const ids = machines.map((h) => h.properties.resourceId ?? '')
  const mayMachines = useMay(ids.length === 1 ? ids[0]! : common(ids.map((id) => parseID(id).parent), everything))
  const lacks = (action: string) => hosts.length > 0 && may.known && !may(action) && action
  const lacksPower = (action: string) => machines.length > 0 && mayMachines.known && !mayMachines(action) && action
  const after = () => {
    done()
    for (const h of hosts.slice(0, 1)) live.reload(h.id) // a page of one host; lists hear of changes
  }
  const some = { disabled: hosts.length === 0 }
  const powered = { disabled: machines.length === 0 }
  const busy = { disabled: hosts.length === 0 || sessionsOn(hosts) === 0 }
  return [
    { ...some, key: 'drain', text: t.drainOn, icon: <DoorRegular />, run: () => void drain(arm, hosts, true).then(after), lacks: lacks(need.write) },
    { ...some, key: 'undrain', text: t.drainOff, icon: <DoorArrowLeftRegular />, run: () => void drain(arm, hosts, false).then(after), lacks: lacks(need.write) },
    { ...some, key: 'message', text: t.message, icon: <ChatRegular />, run: () => ask('message'), lacks: lacks(need.message) },
    { ...busy, key: 'signout', text: t.signOutUsers, icon: <SignOutRegular />, run: () => ask('signout'), lacks: lacks(need.signOut) },
    { ...powered, key: 'start', text: t.start, icon: <PlayRegular />, run: () => void power(arm, machines, 'start').then(after), lacks: lacksPower(need.start) },
    { ...powered, key: 'restart', text: t.restart, icon: <ArrowResetRegular />, run: () => ask('restart'), lacks: lacksPower(need.restart) },
    { ...powered, key: 'stop', text: t.stop, icon: <StopRegular />, run: () => ask('stop'), lacks: lacksPower(need.stop) },
    { ...some, key: 'update', text: t.updateNow, icon: <ArrowSyncRegular />, run: () => void updateNow(arm, hosts).then(after), lacks: lacks(need.write) },
    { ...some, key: 'remove', text: t.remove, icon: <DeleteRegular />, run: () => ask('remove'), lacks: lacks(need.remove) },
  ]
}

export function Bulk({ hosts, done }: { hosts: SessionHost[]; done: () => void }) {
  const styles = useStyles()
  const [asked, ask] = useState<Asked>(null)
  const commands = useHostCommands(hosts, ask, done)
  return (
    <>
      <Toolbar aria-label={t.actions} className={mergeClasses(styles.bar, hosts.length === 0 && styles.idle)}>
        {commands.map((c) => (
          <CommandButton key={c.key} command={c} />
        ))}
      </Toolbar>
      <HostQuestion asked={asked} hosts={hosts} close={() => ask(null)} done={done} />
    </>
  )
}
