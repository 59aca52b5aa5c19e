import { useState } from 'react'
import { graph } from '../../arm/arm'
import { useService } from '../../arm/context'
import type { User } from '../../arm/types-access'
import { Panel } from '../../frame/Dialogs'
import { TextField } from '../../frame/Fields'
import { useFindings } from '../../frame/form'
import { act } from '../../frame/notifications'
import { portalTexts } from '../../texts/en'
import { PasswordShown } from './PasswordShown'

const t = portalTexts.access

/** Creates a user, and shows the password once. */
export function UserForm({ known, close }: { known: readonly User[]; close: () => void }) {
  const { arm, live } = useService()
  const domain = known[0]?.userPrincipalName.split('@')[1] ?? ''
  const [upn, setUPN] = useState('')
  const [name, setName] = useState('')
  const [typed, setTyped] = useState('')
  const { show, finding } = useFindings()
  const [made, setMade] = useState('')
  if (made) return <PasswordShown name={upn} password={made} close={close} />
  const run = async () => {
    let password = typed
    const failed = await act(t.creatingUser(upn), async () => {
      const body = { accountEnabled: true, displayName: name || upn.split('@')[0], userPrincipalName: upn, ...(typed ? { passwordProfile: { password: typed } } : {}) }
      const user = await arm.post<{ passwordProfile?: { password: string } }>(`${graph}/users`, body)
      password = user.passwordProfile?.password ?? password
    })
    show(failed)
    live.reload('/users')
    if (!failed) setMade(password)
    return failed
  }
  return (
    <Panel title={t.createUser} close={close} doIt={t.createUser} run={run} disabled={!upn.includes('@')} stays>
      <TextField label={t.upn} hint={t.upnHint(domain)} value={upn} change={setUPN} required error={finding('userPrincipalName')} />
      <TextField label={t.displayName} value={name} change={setName} error={finding('displayName')} />
      <TextField label={t.password} hint={t.passwordHint} type="password" autoComplete="new-password" value={typed} change={setTyped} error={finding('password')} />
    </Panel>
  )
}
