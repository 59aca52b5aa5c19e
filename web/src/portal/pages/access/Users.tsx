// People of the directory.
import { AddRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { useList } from '../../arm/context'
import { useMay } from '../../arm/permissions'
import type { User } from '../../arm/types-access'
import { moment } from '../../frame/format'
import { Grid, type Column } from '../../frame/Grid'
import { Page, To } from '../../frame/Page'
import { Status } from '../../frame/Status'
import { go, href } from '../../router'
import { portalTexts } from '../../texts/en'
import { needs, usersPath } from './directory'
import { UserForm } from './UserForm'

const t = portalTexts.access

const columns: Column<User>[] = [
  { key: 'name', title: t.displayName, value: (u) => u.displayName, cell: (u) => <To to={href('user', '/' + u.id)}>{u.displayName}</To>, wide: 1.4, rank: 1 },
  { key: 'upn', title: t.upn, value: (u) => u.userPrincipalName, wide: 1.8, rank: 1 },
  { key: 'enabled', title: t.enabled, value: (u) => (u.accountEnabled ? t.mayEnter : t.mayNotEnter), cell: (u) => <Status tone={u.accountEnabled ? 'good' : 'off'}>{u.accountEnabled ? t.mayEnter : t.mayNotEnter}</Status>, rank: 2 },
  { key: 'created', title: t.created, value: (u) => u.createdDateTime, cell: (u) => moment(u.createdDateTime), wide: 1.4, rank: 3 },
]

export default function Users() {
  const list = useList<User>(usersPath)
  const may = useMay('/')
  const [creating, setCreating] = useState(false)
  const commands = [{ key: 'create', text: t.createUser, icon: <AddRegular />, primary: true, run: () => setCreating(true), lacks: !may(needs.users) && needs.users }]
  return (
    <Page title={t.users} known={list} commands={commands} fill>
      <Grid label={t.users} columns={columns} rows={list.data} id={(u) => u.id} open={(u) => go(href('user', '/' + u.id))} empty={t.usersEmpty} />
      {creating && <UserForm known={list.data ?? []} close={() => setCreating(false)} />}
    </Page>
  )
}
