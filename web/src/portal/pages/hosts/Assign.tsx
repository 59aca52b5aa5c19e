// Whose a personal desktop is.
import { Text } from '@fluentui/react-components'
import { useState } from 'react'
import { useService } from '../../arm/context'
import { nameOf } from '../../arm/ids'
import type { SessionHost } from '../../arm/types-hosts'
import { Confirm, Panel } from '../../frame/Dialogs'
import { act } from '../../frame/notifications'
import { portalTexts } from '../../texts/en'
import type { Principal } from '../access/directory'
import { PrincipalPicker } from '../access/PrincipalPicker'

const t = portalTexts.hosts

export type Assigning = 'assign' | 'unassign' | null

/** Assigns a host to a user or to nobody; whoever had it loses it, which is said, and why force is. */
export function AssignQuestion({ asked, host: h, close }: { asked: Assigning; host: SessionHost; close: () => void }) {
  const { arm, live } = useService()
  const [who, choose] = useState<Principal | null>(null)
  const had = h.properties.assignedUser
  const give = async (user: string, title: string) => {
    const failed = await act(title, () => arm.patch(`${h.id}${had ? '?force=true' : ''}`, { properties: { assignedUser: user } }))
    live.reload(h.id)
    return failed
  }
  if (asked === 'unassign' && had) {
    const title = t.unassigning(nameOf(h.id))
    return (
      <Confirm title={`${title}?`} doIt={t.unassign} run={() => void give('', title)} close={close}>
        {t.loses(had)}
      </Confirm>
    )
  }
  if (asked !== 'assign') return null
  return (
    <Panel title={t.assign} close={close} doIt={t.assign} run={() => (who ? give(who.detail, t.assigning(who.detail, nameOf(h.id))) : Promise.resolve(null))} disabled={!who}>
      {had && <Text role="note">{t.loses(had)}</Text>}
      <PrincipalPicker label={t.user} chosen={who} choose={choose} kinds={['User']} />
    </Panel>
  )
}
