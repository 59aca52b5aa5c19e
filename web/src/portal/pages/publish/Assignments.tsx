// To whom an application group is assigned.
import { Button, makeStyles, tokens } from '@fluentui/react-components'
import { DeleteRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { useService } from '../../arm/context'
import { nameOf } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { Stale } from '../../frame/Page'
import { portalTexts } from '../../texts/en'
import type { Principal } from '../access/directory'
import { PrincipalPicker } from '../access/PrincipalPicker'
import { assign, desktopUserRole, rolesDelete, rolesWrite, useAssignments, type Assigned } from '../access/roles'

const t = portalTexts.publish

const useStyles = makeStyles({
  add: { display: 'flex', flexWrap: 'wrap', gap: tokens.spacingHorizontalM, alignItems: 'center' },
  who: { flexGrow: 1, maxWidth: '28rem' },
})

export function Assignments({ scope }: { scope: string }) {
  const { arm, live } = useService()
  const list = useAssignments(scope, 'here')
  const may = useMay(scope)
  const users = list.data?.filter((a) => nameOf(a.roleDefinitionId) === desktopUserRole)
  const remove = (a: Assigned) => void act(t.unassigning(a.who, nameOf(scope)), () => arm.remove(a.id)).then(() => live.reload('roleAssignments'))
  const columns: Column<Assigned>[] = [
    { key: 'who', title: t.assignedTo, value: (a) => a.who, wide: 1.4, rank: 1 },
    { key: 'detail', title: portalTexts.access.upn, value: (a) => a.detail, wide: 1.6, rank: 2 },
    { key: 'kind', title: portalTexts.access.kind, value: (a) => portalTexts.access.kinds[a.kind] ?? a.kind, rank: 2 },
    {
      key: 'actions', title: t.actions, value: () => '', plain: true, rank: 1, wide: 0.5,
      cell: (a) => may(rolesDelete) && <Button size="small" appearance="subtle" icon={<DeleteRegular />} aria-label={t.unassigning(a.who, nameOf(scope))} onClick={() => remove(a)} />,
    },
  ]
  return (
    <>
      <Stale known={list} />
      {may(rolesWrite) && <Add scope={scope} />}
      <Grid label={t.assignments} columns={columns} rows={users} id={(a) => a.id} empty={t.nobody} name="assignments" />
    </>
  )
}

function Add({ scope }: { scope: string }) {
  const styles = useStyles()
  const { arm, live } = useService()
  const [who, choose] = useState<Principal | null>(null)
  const [turn, setTurn] = useState(0)
  const run = async () => {
    if (!who) return
    const failed = await act(t.assigning(who.name, nameOf(scope)), () => assign(arm, scope, `/providers/Microsoft.Authorization/roleDefinitions/${desktopUserRole}`, who))
    live.reload('roleAssignments')
    if (failed) return
    choose(null)
    setTurn(turn + 1) // the field begins anew
  }
  return (
    <div className={styles.add} title={t.assignHint}>
      <div className={styles.who}>
        <PrincipalPicker key={turn} label={portalTexts.access.principal} chosen={who} choose={choose} />
      </div>
      <Button appearance="primary" disabled={!who} onClick={() => void run()}>
        {t.assign}
      </Button>
    </div>
  )
}
