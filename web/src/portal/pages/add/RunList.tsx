// The runs that added session hosts to a pool, as long as their deployments are known.
import { pace, useLive, useService } from '../../arm/context'
import type { ListedRun } from '../../arm/types-wizard'
import { ErrorNotice } from '../../frame/ErrorNotice'
import { Grid, type Column } from '../../frame/Grid'
import { To } from '../../frame/Page'
import { Status } from '../../frame/Status'
import { When } from '../../frame/When'
import { go } from '../../router'
import { portalTexts } from '../../texts/en'
import { runAddress } from './create'
import { toneOfRun } from './stages'

const t = portalTexts.add.run

const columns = (pool: string): Column<ListedRun>[] => [
  { key: 'name', title: t.name, value: (r) => r.name, cell: (r) => <To to={runAddress(pool, r.name)}>{r.name}</To>, wide: 2, rank: 1 },
  { key: 'state', title: t.state, value: (r) => t.states[r.state] ?? r.state, cell: (r) => <Status tone={toneOfRun(r.state)}>{t.states[r.state] ?? r.state}</Status>, rank: 1 },
  { key: 'hosts', title: t.hosts, value: (r) => r.sessionHostNames.join(', '), cell: (r) => t.names(r.sessionHostNames), wide: 1.4, rank: 2 },
  { key: 'began', title: t.began, value: (r) => r.began, cell: (r) => <When at={r.began} />, rank: 2 },
  { key: 'ended', title: t.ended, value: (r) => r.ended ?? '', cell: (r) => (r.ended ? <When at={r.ended} /> : ''), rank: 3 },
]

export function RunList({ pool }: { pool: string }) {
  const { arm } = useService()
  const list = useLive(`runs of ${pool}`, (signal) => arm.list<ListedRun>(`${pool}/sessionHostRuns`, { signal }), pace.list)
  return (
    <>
      <ErrorNotice error={list.error} />
      <Grid label={t.runs} columns={columns(pool)} rows={list.data} id={(r) => r.deploymentId} open={(r) => go(runAddress(pool, r.name))} empty={t.runsEmpty} />
    </>
  )
}
