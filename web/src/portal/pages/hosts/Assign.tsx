// Whose a personal desktop is.
import { useState } from 'react'
import { useService } from '../../arm/context'
import { nameOf } from '../../arm/ids'
import { Panel } from '../../frame/Dialogs'
import { act } from '../../frame/notifications'
import { portalTexts } from '../../texts/en'
import type { Principal } from '../access/directory'
import { PrincipalPicker } from '../access/PrincipalPicker'

const t = portalTexts.hosts

/** Assigns a host to a user; whoever had it loses it, which is why force is said. */
export function AssignForm({ host, close }: { host: string; close: () => void }) {
  const { arm, live } = useService()
  const [who, choose] = useState<Principal | null>(null)
  const run = async () => {
    if (!who) return null
    const failed = await act(t.assigning(who.detail, nameOf(host)), () => arm.patch(`${host}?force=true`, { properties: { assignedUser: who.detail } }))
    live.reload(host)
    return failed
  }
  return (
    <Panel title={t.assign} close={close} doIt={t.assign} run={run} disabled={!who}>
      <PrincipalPicker label={t.user} chosen={who} choose={choose} kinds={['User']} />
    </Panel>
  )
}
