// One connection: its decision record, its stages, its traffic and its end.
import { Subtitle2, makeStyles, tokens } from '@fluentui/react-components'
import { pace, useResource } from '../../arm/context'
import { ArmError } from '../../arm/errors'
import { nameOf } from '../../arm/ids'
import type { Resource } from '../../arm/types'
import type { Connection as Body, ConnectionFailure } from '../../arm/types-monitor'
import { Details } from '../../frame/Details'
import { ErrorNotice } from '../../frame/ErrorNotice'
import { bytes, moment } from '../../frame/format'
import { Page, To } from '../../frame/Page'
import { Status } from '../../frame/Status'
import { href } from '../../router'
import { portalTexts } from '../../texts/en'
import type { PageProps } from '..'
import { pageOf } from '../kinds'
import { toneOfConnection } from './Connections'
import { DecisionView } from './Decision'

const t = portalTexts.monitor

const useStyles = makeStyles({
  part: { marginTop: tokens.spacingVerticalL, display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalS },
  stages: { display: 'grid', gridTemplateColumns: 'max-content 1fr max-content', gap: `${tokens.spacingVerticalXS} ${tokens.spacingHorizontalM}`, alignItems: 'center', margin: 0, maxWidth: '40rem' },
  bar: { height: '10px', borderRadius: tokens.borderRadiusSmall, backgroundColor: tokens.colorBrandBackground, minWidth: '2px' },
  time: { fontVariantNumeric: 'tabular-nums', textAlign: 'end' },
})

export default function Connection({ id }: PageProps) {
  const styles = useStyles()
  const known = useResource<Resource<Body>>(id, pace.live)
  const c = known.data?.body.properties
  return (
    <Page title={nameOf(id)} under={t.connection} crumbs={[{ text: t.connections, to: href('connections') }]} known={known}>
      {c && (
        <>
          {c.failure && <Failure failure={c.failure} />}
          <Details
            of={[
              [t.state, <Status key="s" tone={toneOfConnection(c)}>{c.state}</Status>],
              [t.user, c.userPrincipalName],
              [t.resource, <To key="r" to={pageOf(c.resourceId)}>{nameOf(c.resourceId)}</To>],
              [t.host, c.sessionHostResourceId && <To key="h" to={pageOf(c.sessionHostResourceId)}>{c.sessionHostName}</To>],
              [t.began, moment(c.startTime)],
              [t.ended, c.endTime ? moment(c.endTime) : ''],
              [t.why, c.endReason],
              [t.client, [c.client.type, c.client.version, c.client.os, c.client.name, c.client.address].filter(Boolean).join(', ')],
              [t.door, c.door],
              [t.gateway, c.gateway],
              [t.fromClient, bytes(c.traffic.fromClientBytes)],
              [t.fromHost, bytes(c.traffic.fromHostBytes)],
              [t.roundTrip, c.traffic.rtt > 0 ? `${(c.traffic.rtt / 1e6).toFixed(1)} ms` : ''],
            ]}
          />
          {c.stages.length > 0 && (
            <section className={styles.part}>
              <Subtitle2 as="h2">{t.stages}</Subtitle2>
              <Stages stages={c.stages} />
            </section>
          )}
          {c.decision && (
            <section className={styles.part}>
              <Subtitle2 as="h2">{t.decision}</Subtitle2>
              <DecisionView decision={c.decision} />
            </section>
          )}
        </>
      )}
    </Page>
  )
}

function Failure({ failure: f }: { failure: ConnectionFailure }) {
  const more = [f.serviceError ? t.serviceError : '', f.retryAfterSeconds ? t.tryAgain(f.retryAfterSeconds) : ''].filter(Boolean).join(' ')
  return <ErrorNotice title={`${t.failure}: ${f.symbol}`} error={new ArmError(200, f.symbol, more ? `${f.message} ${more}` : f.message)} />
}

/** Time per stage, as bars over the whole. */
function Stages({ stages }: { stages: Body['stages'] }) {
  const styles = useStyles()
  const longest = Math.max(...stages.map((s) => s.milliseconds), 1)
  return (
    <dl className={styles.stages}>
      {stages.map((s) => (
        <div key={s.name} style={{ display: 'contents' }}>
          <dt>{s.name}</dt>
          <dd style={{ margin: 0 }} aria-hidden>
            <div className={styles.bar} style={{ width: `${(s.milliseconds / longest) * 100}%` }} />
          </dd>
          <dd className={styles.time} style={{ margin: 0 }}>
            {s.milliseconds.toFixed(1)} ms
          </dd>
        </div>
      ))}
    </dl>
  )
}
