// One person: whether they may sign in, their groups, their second factors.
import { Button, Subtitle2 } from '@fluentui/react-components'
import { DeleteRegular, KeyResetRegular, LockOpenRegular, PersonProhibitedRegular, PersonRegular, SignOutRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { graph } from '../../arm/arm'
import { useList, useResource, useService } from '../../arm/context'
import { useMay } from '../../arm/permissions'
import type { DirectoryObject, Method, User as Person } from '../../arm/types-access'
import { Details } from '../../frame/Details'
import { Confirm } from '../../frame/Dialogs'
import { moment } from '../../frame/format'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { Page, type Command } from '../../frame/Page'
import { Status } from '../../frame/Status'
import { go, href } from '../../router'
import { portalTexts } from '../../texts/en'
import type { PageProps } from '..'
import { needs } from './directory'
import { PasswordShown } from './PasswordShown'

const t = portalTexts.access

type Question = 'reset' | 'revoke' | 'delete'

export default function User({ id }: PageProps) {
  const path = `${graph}/users${id}`
  const known = useResource<Person>(path)
  const [asked, setAsked] = useState<Question | null>(null)
  const u = known.data?.body
  return (
    <Page title={u?.displayName ?? ''} under={t.user} crumbs={[{ text: t.users, to: href('users') }]} known={known} commands={useCommands(path, u, setAsked)}>
      {u && (
        <>
          <Details
            of={[
              [t.upn, u.userPrincipalName],
              [t.mail, u.mail],
              [t.enabled, <Status key="s" tone={u.accountEnabled ? 'good' : 'off'}>{u.accountEnabled ? t.mayEnter : t.mayNotEnter}</Status>],
              [t.created, moment(u.createdDateTime)],
            ]}
          />
          <Memberships path={path} />
          <Methods path={path} />
          <Asked user={u} path={path} asked={asked} close={() => setAsked(null)} />
        </>
      )}
    </Page>
  )
}

function useCommands(path: string, u: Person | undefined, ask: (q: Question) => void): Command[] {
  const { arm, live } = useService()
  const may = useMay('/')
  const lacks = (action: string) => !may(action) && action
  if (!u) return []
  const then = (title: string, work: () => Promise<unknown>) => () => void act(title, work).then(() => live.reload('/users'))
  const block = then(t.blocking(u.displayName), () => arm.patch(path, { accountEnabled: false }))
  const allow = then(t.allowing(u.displayName), () => arm.patch(path, { accountEnabled: true }))
  return [
    u.accountEnabled
      ? { key: 'block', text: t.block, icon: <PersonProhibitedRegular />, run: block, lacks: lacks(needs.users) }
      : { key: 'allow', text: t.allow, icon: <PersonRegular />, run: allow, lacks: lacks(needs.users) },
    { key: 'reset', text: t.resetPassword, icon: <KeyResetRegular />, run: () => ask('reset'), lacks: lacks(needs.passwords) },
    { key: 'unlock', text: t.unlock, icon: <LockOpenRegular />, run: then(t.unlocking(u.displayName), () => arm.post(`${path}/unlock`)), lacks: lacks(needs.users) },
    { key: 'revoke', text: t.revoke, icon: <SignOutRegular />, run: () => ask('revoke'), lacks: lacks(needs.users) },
    { key: 'delete', text: portalTexts.frame.remove, icon: <DeleteRegular />, run: () => ask('delete'), lacks: lacks(needs.deleteUsers) },
  ]
}

function Asked({ user, path, asked, close }: { user: Person; path: string; asked: Question | null; close: () => void }) {
  const { arm } = useService()
  const [password, setPassword] = useState('')
  const name = user.displayName
  if (password) return <PasswordShown name={user.userPrincipalName} password={password} close={() => setPassword('')} />
  const questions = {
    reset: {
      title: t.resetPassword, text: t.resetText(name), type: undefined,
      run: () => void act(t.resetting(name), async () => setPassword((await arm.post<{ newPassword: string }>(`${path}/resetPassword`, {})).newPassword)),
    },
    revoke: { title: t.revoke, text: t.revokeText(name), type: undefined, run: () => void act(t.revoking(name), () => arm.post(`${path}/revokeSignInSessions`)) },
    delete: { title: portalTexts.frame.deleteTitle(name), text: t.deleteUserText, type: user.userPrincipalName, run: () => void act(portalTexts.frame.deleting(name), () => arm.remove(path)).then((error) => !error && go(href('users'))) },
  }
  if (!asked) return null
  const q = questions[asked]
  return (
    <Confirm title={q.title} doIt={asked === 'delete' ? portalTexts.frame.remove : q.title} run={q.run} close={close} {...(q.type ? { type: q.type } : {})}>
      {q.text}
    </Confirm>
  )
}

const groupColumns: Column<DirectoryObject>[] = [{ key: 'name', title: t.group, value: (g) => g.displayName ?? g.id, rank: 1 }]

function Memberships({ path }: { path: string }) {
  const list = useList<DirectoryObject>(`${path}/memberOf`)
  return (
    <section>
      <Subtitle2 as="h2">{t.memberOf}</Subtitle2>
      <Grid label={t.memberOf} columns={groupColumns} rows={list.data} id={(g) => g.id} open={() => go(href('groups'))} noFilter name="groups" />
    </section>
  )
}

const kindOf = (m: Method): string => Object.entries(t.methodKinds).find(([key]) => m['@odata.type'].includes(key))?.[1] ?? m['@odata.type']

function Methods({ path }: { path: string }) {
  const { arm, live } = useService()
  const may = useMay('/')
  const list = useList<Method>(`${path}/authentication/methods`)
  const factors = list.data?.filter((m) => !m['@odata.type'].includes('password'))
  const columns: Column<Method>[] = [
    { key: 'kind', title: portalTexts.search.type, value: kindOf, rank: 1 },
    { key: 'name', title: t.name, value: (m) => m.displayName ?? '', rank: 1 },
    { key: 'created', title: t.created, value: (m) => m.createdDateTime ?? '', cell: (m) => moment(m.createdDateTime ?? ''), rank: 2 },
    {
      key: 'actions', title: t.actions, value: () => '', plain: true, rank: 1, wide: 0.5,
      cell: (m) =>
        may(needs.passwords) && (
          <Button
            size="small" appearance="subtle" icon={<DeleteRegular />} aria-label={t.removeMethod(kindOf(m))}
            onClick={() => void act(t.removeMethod(kindOf(m)), () => arm.remove(`${path}/authentication/methods/${m.id}`)).then(() => live.reload(path))}
          />
        ),
    },
  ]
  return (
    <section>
      <Subtitle2 as="h2">{t.methods}</Subtitle2>
      <Grid label={t.methods} columns={columns} rows={factors} id={(m) => m.id} empty={t.noMethods} noFilter name="methods" />
    </section>
  )
}
