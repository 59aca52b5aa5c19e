// Puts a run's own deployment again, with the secrets that nobody keeps and what was wrong.
import { Button, Text } from '@fluentui/react-components'
import { useState } from 'react'
import { pace, useLive, useService } from '../../arm/context'
import { parseID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { RunProgress } from '../../arm/types-wizard'
import { Panel } from '../../frame/Dialogs'
import { ErrorNotice } from '../../frame/ErrorNotice'
import { TextField } from '../../frame/Fields'
import { act } from '../../frame/notifications'
import { To } from '../../frame/Page'
import { Warning } from '../../frame/Warning'
import { portalTexts } from '../../texts/en'
import { pageOf } from '../kinds'
import { adding } from './create'

const t = portalTexts.add.run

/** A template as a deployment exports it: parameters with the run's values as defaults. */
interface Template {
  parameters: Record<string, { type: string; defaultValue?: unknown }>
  resources: unknown
}

const day = 24 * 3600 * 1000

/** The parameters of the join that may have been wrong. */
const correctable = ['joinUser', 'domain', 'ouPath'] as const

export function Resume({ run, id, close }: { run: RunProgress; id: string; close: () => void }) {
  const { arm, live } = useService()
  const pool = parseID(id).parent
  const may = useMay(pool)
  const exported = useLive(`${run.deploymentId}/exportTemplate`, async () => (await arm.post<{ template: Template }>(`${run.deploymentId}/exportTemplate`)).template, pace.once)
  const key = useLive(`${pool}/retrieveRegistrationToken`, async () => (await arm.post<{ token: string | null }>(`${pool}/retrieveRegistrationToken`)).token ?? '', pace.once)
  const [typed, setTyped] = useState<Record<string, string>>({})
  const template = exported.data
  const set = (name: string) => (value: string) => setTyped((all) => ({ ...all, [name]: value }))
  const of = (name: string) => typed[name] ?? String(template?.parameters[name]?.defaultValue ?? '')
  const joins = of('directory') === 'ActiveDirectory'
  const go = async () => {
    const secrets = { adminPassword: typed.adminPassword ?? '', hostPoolToken: key.data ?? '', joinPassword: typed.joinPassword ?? '' }
    const corrections = Object.fromEntries(correctable.filter((name) => typed[name] !== undefined).map((name) => [name, typed[name]]))
    const parameters = Object.fromEntries(Object.entries({ ...secrets, ...corrections }).map(([name, value]) => [name, { value }]))
    const failed = await act(t.resuming(parseID(id).name), () => arm.put(run.deploymentId, { properties: { mode: 'Incremental', template, parameters } }))
    live.reload(id)
    return failed
  }
  const generate = () => {
    const registrationInfo = { registrationTokenOperation: 'Update', expirationTime: new Date(Date.now() + day).toISOString() }
    void act(t.generating(parseID(pool).name), () => arm.patch(pool, { properties: { registrationInfo } })).then(() => key.reload())
  }
  const ready = template && key.data && typed.adminPassword && (!joins || typed.joinPassword)
  return (
    <Panel title={t.resumeTitle} close={close} doIt={t.resume} run={go} disabled={!ready}>
      <Text>{t.resumeText}</Text>
      <ErrorNotice error={exported.error} />
      {(key.error || key.data === '') && (
        <Warning>
          {t.resumeKey} <To to={pageOf(pool)}>{parseID(pool).name}</To>{' '}
          <Button size="small" disabled={!may(adding)} title={may(adding) ? undefined : portalTexts.frame.needs(adding)} onClick={generate}>
            {t.newKey}
          </Button>
        </Warning>
      )}
      <TextField label={t.adminPassword} type="password" autoComplete="new-password" value={typed.adminPassword ?? ''} change={set('adminPassword')} required />
      {joins && (
        <>
          <TextField label={t.joinPassword} type="password" autoComplete="new-password" value={typed.joinPassword ?? ''} change={set('joinPassword')} required />
          <Text>{t.resumeCorrections}</Text>
          {correctable.map((name) => (
            <TextField key={name} label={t[name]} value={of(name)} change={set(name)} />
          ))}
        </>
      )}
    </Panel>
  )
}
