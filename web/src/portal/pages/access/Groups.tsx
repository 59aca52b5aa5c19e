// Groups of the directory and their members.
import { Button, Link } from '@fluentui/react-components'
import { AddRegular, DeleteRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { graph } from '../../arm/arm'
import { useList, useService } from '../../arm/context'
import { useMay } from '../../arm/permissions'
import type { DirectoryObject, Group } from '../../arm/types-access'
import { Panel } from '../../frame/Dialogs'
import { LongTextField, TextField } from '../../frame/Fields'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { Page } from '../../frame/Page'
import { Removal } from '../../frame/Removal'
import { portalTexts } from '../../texts/en'
import { groupsPath, needs, type Principal } from './directory'
import { PrincipalPicker } from './PrincipalPicker'

const t = portalTexts.access

type Asked = { what: 'create' } | { what: 'members' | 'delete'; group: Group } | null

export default function Groups() {
  const { live } = useService()
  const list = useList<Group>(groupsPath)
  const may = useMay('/')
  const [asked, ask] = useState<Asked>(null)
  const columns: Column<Group>[] = [
    {
      key: 'name', title: t.group, value: (g) => g.displayName, wide: 1.4, rank: 1,
      cell: (g) => (
        <Link as="button" onClick={() => ask({ what: 'members', group: g })}>
          {g.displayName}
        </Link>
      ),
    },
    { key: 'description', title: t.description, value: (g) => g.description ?? '', wide: 2, rank: 2 },
    {
      key: 'actions', title: t.actions, value: () => '', plain: true, rank: 1, wide: 0.5,
      cell: (g) => may(needs.deleteGroups) && <Button size="small" appearance="subtle" icon={<DeleteRegular />} aria-label={portalTexts.frame.deleting(g.displayName)} onClick={() => ask({ what: 'delete', group: g })} />,
    },
  ]
  const commands = [{ key: 'create', text: t.createGroup, icon: <AddRegular />, primary: true, run: () => ask({ what: 'create' }), lacks: !may(needs.groups) && needs.groups }]
  return (
    <Page title={t.groups} known={list} commands={commands} fill>
      <Grid label={t.groups} columns={columns} rows={list.data} id={(g) => g.id} open={(group) => ask({ what: 'members', group })} empty={t.groupsEmpty} />
      {asked?.what === 'create' && <GroupForm close={() => ask(null)} />}
      {asked?.what === 'members' && <Members group={asked.group} close={() => ask(null)} />}
      {asked?.what === 'delete' && <Removal id={`${graph}/groups/${asked.group.id}`} name={asked.group.displayName} text={t.deleteGroupText} gone={() => live.reload('/groups')} close={() => ask(null)} />}
    </Page>
  )
}

function GroupForm({ close }: { close: () => void }) {
  const { arm, live } = useService()
  const [name, setName] = useState('')
  const [description, setDescription] = useState('')
  const run = async () => {
    const body = { displayName: name, mailNickname: name.replace(/\W/g, ''), mailEnabled: false, securityEnabled: true, ...(description ? { description } : {}) }
    const failed = await act(t.creatingGroup(name), () => arm.post(`${graph}/groups`, body))
    live.reload('/groups')
    return failed
  }
  return (
    <Panel title={t.createGroup} close={close} doIt={t.createGroup} run={run} disabled={!name.trim()}>
      <TextField label={t.name} value={name} change={setName} required />
      <LongTextField label={t.description} value={description} change={setDescription} rows={2} />
    </Panel>
  )
}

/** The members of a group, to add to and to take from. */
function Members({ group, close }: { group: Group; close: () => void }) {
  const { arm, live } = useService()
  const may = useMay('/')
  const path = `${graph}/groups/${group.id}/members`
  const list = useList<DirectoryObject>(path)
  const [chosen, choose] = useState<Principal | null>(null)
  const [turn, setTurn] = useState(0)
  const nameOf = (m: DirectoryObject) => m.displayName ?? m.id
  const add = async () => {
    if (!chosen) return
    const failed = await act(t.adding(chosen.name, group.displayName), () => arm.post(`${path}/$ref`, { '@odata.id': `${location.origin}${graph}/directoryObjects/${chosen.id}` }))
    if (failed) return
    choose(null)
    setTurn(turn + 1) // the field begins anew
    live.reload(path)
  }
  const columns: Column<DirectoryObject>[] = [
    { key: 'name', title: t.name, value: nameOf, rank: 1 },
    { key: 'upn', title: t.upn, value: (m) => m.userPrincipalName ?? '', wide: 1.4, rank: 1 },
    {
      key: 'actions', title: t.actions, value: () => '', plain: true, rank: 1, wide: 0.5,
      cell: (m) =>
        may(needs.members) && (
          <Button
            size="small" appearance="subtle" icon={<DeleteRegular />} aria-label={t.removingMember(nameOf(m), group.displayName)}
            onClick={() => void act(t.removingMember(nameOf(m), group.displayName), () => arm.remove(`${path}/${m.id}/$ref`)).then(() => live.reload(path))}
          />
        ),
    },
  ]
  return (
    <Panel title={t.membersOf(group.displayName)} close={close} wide>
      {may(needs.members) && (
        <>
          <PrincipalPicker key={turn} label={t.principal} chosen={chosen} choose={choose} />
          <Button appearance="primary" disabled={!chosen} onClick={() => void add()}>
            {t.addMember}
          </Button>
        </>
      )}
      <Grid label={t.members} columns={columns} rows={list.data} id={(m) => m.id} empty={t.noMembers} name="members" />
    </Panel>
  )
}
