// The latest connections of a pool that failed, within a day; nothing where there are none.
import { Subtitle2 } from '@fluentui/react-components'
import { useState } from 'react'
import { pace, useList } from '../../arm/context'
import type { Connection } from '../../arm/types-monitor'
import type { Resource } from '../../arm/types'
import { Grid, type Column } from '../../frame/Grid'
import { To } from '../../frame/Page'
import { When } from '../../frame/When'
import { go, href } from '../../router'
import { portalTexts } from '../../texts/en'

const t = portalTexts.monitor
const shown = 5
const day = 86_400_000

type Row = Resource<Connection>

const columns: Column<Row>[] = [
  { key: 'time', title: t.began, value: (r) => r.properties.startTime, cell: (r) => <To to={href('connection', r.id)}><When at={r.properties.startTime} /></To>, rank: 1 },
  { key: 'user', title: t.user, value: (r) => r.properties.userPrincipalName, wide: 1.4, rank: 1 },
  { key: 'why', title: t.why, value: (r) => r.properties.failure?.symbol ?? '', wide: 1.6, rank: 2 },
]

export function FailedConnections({ pool }: { pool: string }) {
  const [since] = useState(() => new Date(Date.now() - day).toISOString())
  const list = useList<Row>(`${pool}/connections?${new URLSearchParams({ startTime: since })}`, pace.list, 500)
  const rows = list.data?.filter((r) => r.properties.state === 'Failed').slice(0, shown)
  if (!rows || rows.length === 0) return null
  return (
    <>
      <Subtitle2 as="h2" block>
        {t.latestFailures}
      </Subtitle2>
      <Grid label={t.latestFailures} columns={columns} rows={rows} id={(r) => r.id} open={(r) => go(href('connection', r.id))} noFilter name="failures" />
    </>
  )
}
