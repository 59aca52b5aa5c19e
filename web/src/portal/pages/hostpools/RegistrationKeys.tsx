// The registration key: its state, a new one, its text, which hosts joined with which.
import { Button, Subtitle2, makeStyles, tokens } from '@fluentui/react-components'
import { AddRegular, ArrowDownloadRegular, EyeOffRegular, EyeRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { pace, useLive, useService } from '../../arm/context'
import { nameOf } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { RegistrationKey } from '../../arm/types-hostpools'
import { Code, CopyButton, download } from '../../frame/Details'
import { Confirm } from '../../frame/Dialogs'
import { CheckField } from '../../frame/Fields'
import { moment } from '../../frame/format'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { CommandButton, Stale, To } from '../../frame/Page'
import { Status, type Tone } from '../../frame/Status'
import { href } from '../../router'
import { portalTexts } from '../../texts/en'
import { KeyForm } from './KeyForm'
import { linuxCommand, windowsCommand } from './keys'

const t = portalTexts.hostpools
const at = 'Microsoft.DesktopVirtualization/hostPools'
const need = { list: `${at}/listRegistrationKeys/action`, read: `${at}/retrieveRegistrationToken/action`, write: `${at}/write`, revoke: `${at}/revokeRegistrationKey/action` }

const tones: Record<string, Tone> = { Valid: 'good', Expired: 'off', Revoked: 'off', Exhausted: 'warning' }

const useStyles = makeStyles({
  row: { display: 'flex', flexWrap: 'wrap', gap: tokens.spacingHorizontalS, alignItems: 'center' },
  part: { display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalS },
})

export function RegistrationKeys({ pool }: { pool: string }) {
  const styles = useStyles()
  const { arm } = useService()
  const may = useMay(pool)
  const path = `${pool}/listRegistrationKeys`
  const list = useLive(may(need.list) ? path : '', async (signal) => (await arm.post<{ value: RegistrationKey[] }>(path, undefined, { signal })).value, pace.live)
  const [generating, setGenerating] = useState(false)
  const valid = list.data?.find((k) => k.state === 'Valid' && !k.limits?.run && !k.limits?.singleHost) // the pool's own: those of runs and hosts stand beside it
  const state = !may.known ? '' : !may(need.list) ? portalTexts.frame.needs(need.list) : list.data ? (valid ? t.keyValid(moment(valid.expirationTime)) : t.keyNone) : ''
  return (
    <>
      <Stale known={list} />
      <div role="status">{state && <Status tone={valid ? 'good' : 'warning'}>{state}</Status>}</div>
      <div className={styles.row}>
        <CommandButton command={{ key: 'generate', text: t.generate, icon: <AddRegular />, primary: true, run: () => setGenerating(true), lacks: !may(need.write) && need.write }} />
      </div>
      {(valid || (!may(need.list) && may(need.read))) && <KeyText key={valid?.id ?? ''} pool={pool} lacks={!may(need.read) && need.read} />}
      {list.data && list.data.length > 0 && <Keys pool={pool} keys={list.data} lacks={!may(need.revoke) && need.revoke} />}
      {generating && <KeyForm pool={pool} close={() => setGenerating(false)} />}
    </>
  )
}

/** The key itself, which is fetched only when somebody asks for it: each retrieval is audited. */
function KeyText({ pool, lacks }: { pool: string; lacks: string | false }) {
  const styles = useStyles()
  const { arm } = useService()
  const [token, setToken] = useState('')
  const fetch = async () => {
    const answer = await arm.post<{ token: string }>(`${pool}/retrieveRegistrationToken`)
    return answer.token
  }
  const show = () => void act(t.showing(nameOf(pool)), async () => setToken(await fetch()))
  const save = () => void act(t.showing(nameOf(pool)), async () => download(token || (await fetch()), `${nameOf(pool)}-registration-key.txt`))
  return (
    <section className={styles.part}>
      <div className={styles.row}>
        {token ? (
          <Button icon={<EyeOffRegular />} onClick={() => setToken('')}>
            {t.hide}
          </Button>
        ) : (
          <CommandButton command={{ key: 'show', text: t.show, icon: <EyeRegular />, run: show, lacks }} />
        )}
        {!lacks && <CopyButton text={() => (token ? Promise.resolve(token) : fetch())} label={t.copyKey} />}
        <CommandButton command={{ key: 'download', text: t.downloadKey, icon: <ArrowDownloadRegular />, run: save, lacks }} />
      </div>
      {token && (
        <>
          <Code text={token} label={t.key} />
          <Subtitle2 as="h2">{t.install}</Subtitle2>
          {t.linux}
          <Code text={linuxCommand(token)} label={t.linux} />
          {t.windows}
          <Code text={windowsCommand(token)} label={t.windows} />
        </>
      )}
    </section>
  )
}

function Keys({ pool, keys, lacks }: { pool: string; keys: RegistrationKey[]; lacks: string | false }) {
  const [revoking, setRevoking] = useState<RegistrationKey | null>(null)
  const columns: Column<RegistrationKey>[] = [
    { key: 'created', title: t.created, value: (k) => k.createdAt, cell: (k) => moment(k.createdAt), wide: 1.4, rank: 1 },
    { key: 'by', title: t.by, value: (k) => k.createdBy, rank: 3 },
    { key: 'state', title: t.state, value: (k) => k.state, cell: (k) => <Status tone={tones[k.state] ?? 'unknown'}>{k.state}</Status>, rank: 1 },
    { key: 'expires', title: t.expires, value: (k) => k.expirationTime, cell: (k) => moment(k.expirationTime), wide: 1.4, rank: 2 },
    {
      key: 'hosts', title: t.uses, value: (k) => k.sessionHosts.length, wide: 1.6, rank: 2,
      cell: (k) => k.sessionHosts.slice(0, 5).map((h, i) => <span key={h}>{i > 0 && ', '}<To to={href('host', h)}>{nameOf(h)}</To></span>).concat(k.sessionHosts.length > 5 ? [<span key="more">, +{k.sessionHosts.length - 5}</span>] : []),
    },
    {
      key: 'actions', title: t.actions, value: () => '', plain: true, rank: 1, wide: 0.7,
      cell: (k) =>
        k.state === 'Valid' && (
          <Button size="small" disabledFocusable={Boolean(lacks)} title={lacks ? portalTexts.frame.needs(lacks) : ''} onClick={() => setRevoking(k)}>
            {t.revoke}
          </Button>
        ),
    },
  ]
  return (
    <>
      <Grid label={t.history} columns={columns} rows={keys} id={(k) => k.id} noFilter name="keys" />
      {revoking && <Revocation pool={pool} keyID={revoking.id} close={() => setRevoking(null)} />}
    </>
  )
}

function Revocation({ pool, keyID, close }: { pool: string; keyID: string; close: () => void }) {
  const { arm, live } = useService()
  const [hosts, setHosts] = useState(false)
  const run = () => void act(t.revoking(nameOf(pool)), () => arm.post(`${pool}/revokeRegistrationKey`, { keyId: keyID, revokeHosts: hosts })).then(() => live.reload(pool))
  return (
    <Confirm title={t.revokeTitle} doIt={t.revoke} run={run} close={close}>
      {t.revokeText}
      <CheckField label={t.revokeHosts} value={hosts} change={setHosts} />
    </Confirm>
  )
}
