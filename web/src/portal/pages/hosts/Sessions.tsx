// Who has a session on a host or in a pool, and what can be done about it.
import { Button } from '@fluentui/react-components'
import { ChatRegular, PlugDisconnectedRegular, SignOutRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { pace, useList, useService } from '../../arm/context'
import { nameOf, parseID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { UserSession } from '../../arm/types-hosts'
import { Confirm } from '../../frame/Dialogs'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { Stale, To } from '../../frame/Page'
import { Status, type Tone } from '../../frame/Status'
import { When } from '../../frame/When'
import { href } from '../../router'
import { portalTexts } from '../../texts/en'
import { messageOne, need } from './actions'
import { MessagePanel } from './Questions'

const t = portalTexts.hosts

const tones: Record<string, Tone> = { Active: 'good', Disconnected: 'off', Pending: 'busy', LogOff: 'busy' }

const hostColumn: Column<UserSession> = {
  key: 'host', title: t.host, value: (s) => nameOf(parseID(s.id).parent), rank: 2,
  cell: (s) => <To to={href('host', parseID(s.id).parent, { tab: 'sessions' })}>{nameOf(parseID(s.id).parent)}</To>,
}

/** The sessions of a host, or of a whole pool. */
export function Sessions({ scope }: { scope: string }) {
  const { arm, live } = useService()
  const path = `${scope}/userSessions`
  const ofPool = /\/hostPools$/i.test(parseID(scope).type)
  const list = useList<UserSession>(path, ofPool ? pace.list : pace.live)
  const may = useMay(ofPool ? scope : parseID(scope).parent)
  const [leaving, setLeaving] = useState<UserSession | null>(null)
  const [told, tell] = useState<UserSession | null>(null)
  const who = (s: UserSession) => s.properties.userPrincipalName
  const columns: Column<UserSession>[] = [
    { key: 'user', title: t.user, value: who, wide: 1.6, rank: 1 },
    ...(ofPool ? [hostColumn] : []),
    { key: 'state', title: t.state, value: (s) => s.properties.sessionState, cell: (s) => <Status tone={tones[s.properties.sessionState] ?? 'unknown'}>{s.properties.sessionState}</Status>, rank: 1 },
    { key: 'kind', title: t.application, value: (s) => s.properties.applicationType, rank: 2 },
    { key: 'since', title: t.since, value: (s) => s.properties.createTime ?? '', cell: (s) => <When at={s.properties.createTime ?? ''} />, rank: 2 },
    {
      key: 'actions', title: t.actions, value: () => '', plain: true, rank: 1, wide: 0.8,
      cell: (s) => (
        <>
          {may(need.message) && <Button size="small" appearance="subtle" icon={<ChatRegular />} aria-label={t.sending(who(s))} title={t.message} onClick={() => tell(s)} />}
          {may(need.disconnect) && (
            <Button size="small" appearance="subtle" icon={<PlugDisconnectedRegular />} aria-label={t.disconnecting(who(s))} title={t.disconnect} onClick={() => void act(t.disconnecting(who(s)), () => arm.post(`${s.id}/disconnect`)).then(() => live.reload(path))} />
          )}
          {may(need.signOut) && <Button size="small" appearance="subtle" icon={<SignOutRegular />} aria-label={t.signingOut(who(s))} title={t.signOut} onClick={() => setLeaving(s)} />}
        </>
      ),
    },
  ]
  return (
    <>
      <Stale known={list} />
      <Grid label={t.sessions} columns={columns} rows={list.data} id={(s) => s.id} empty={t.noSessions} name="sessions" />
      {told && <MessagePanel to={who(told)} send={(title, body) => messageOne(arm, told, title, body)} close={() => tell(null)} />}
      {leaving && (
        <Confirm title={`${t.signingOut(who(leaving))}?`} doIt={t.signOut} run={() => void act(t.signingOut(who(leaving)), () => arm.remove(leaving.id)).then(() => live.reload(path))} close={() => setLeaving(null)}>
          {t.signOutText}
        </Confirm>
      )}
    </>
  )
}
