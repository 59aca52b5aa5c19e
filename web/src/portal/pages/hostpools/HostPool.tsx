// One host pool.
import { AddRegular, DeleteRegular, KeyRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { useResource } from '../../arm/context'
import { parseID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { HostPool as Pool } from '../../arm/types-hostpools'
import { ErrorNotice } from '../../frame/ErrorNotice'
import { Conflicts, Form, SaveBar } from '../../frame/Fields'
import { useEdit } from '../../frame/form'
import { Kept } from '../../frame/Kept'
import { Page, type Command } from '../../frame/Page'
import { href, useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import type { PageProps } from '..'
import { RunList } from '../add/RunList'
import { HostList } from '../hosts/HostList'
import { Sessions } from '../hosts/Sessions'
import { ActivityList } from '../monitor/Activity'
import { ConnectionList } from '../monitor/Connections'
import { AppGroupList } from '../publish/AppGroups'
import { PoolFields, bodyOf, valuesOf, type PoolValues } from './PoolFields'
import { PoolOverview } from './PoolOverview'
import { PoolRemoval } from './PoolRemoval'
import { RdpEditor } from './RdpEditor'
import { RegistrationKeys } from './RegistrationKeys'

const t = portalTexts.hostpools
const at = 'Microsoft.DesktopVirtualization/hostPools'

const tabs = [
  { key: 'overview', text: t.overview }, { key: 'hosts', text: t.hosts }, { key: 'sessions', text: t.sessions }, { key: 'additions', text: portalTexts.add.run.runs }, { key: 'key', text: t.key }, { key: 'properties', text: t.properties }, { key: 'rdp', text: t.rdp },
  { key: 'groups', text: t.appGroups }, { key: 'connections', text: t.connections }, { key: 'activity', text: portalTexts.monitor.activity },
]

export default function HostPool({ id }: PageProps) {
  const known = useResource<Pool>(id)
  const may = useMay(id)
  const [tab] = useQuery('tab', 'overview')
  const [removing, setRemoving] = useState(false)
  const pool = known.data
  const lacks = (action: string) => !may(`${at}/${action}`) && `${at}/${action}`
  const commands: Command[] = [
    { key: 'add', text: t.add, icon: <AddRegular />, primary: true, to: href('add', id), lacks: lacks('write') },
    { key: 'key', text: t.key, icon: <KeyRegular />, to: href('hostpool', id, { tab: 'key' }) },
    { key: 'delete', text: portalTexts.frame.remove, icon: <DeleteRegular />, run: () => setRemoving(true), lacks: lacks('delete') },
  ]
  return (
    <Page title={parseID(id).name} under={t.pool} crumbs={[{ text: t.pools, to: href('hostpools') }]} known={known} commands={commands} tabs={tabs}>
      {pool && tab === 'overview' && <PoolOverview pool={pool.body} />}
      {tab === 'hosts' && <HostList pool={id} />}
      {tab === 'sessions' && <Sessions scope={id} />}
      {tab === 'additions' && <RunList pool={id} />}
      {tab === 'key' && <RegistrationKeys pool={id} />}
      {pool && (
        <>
          <Kept shown={tab === 'properties'}>
            <Properties id={id} known={pool} lacks={lacks('write')} />
          </Kept>
          <Kept shown={tab === 'rdp'}>
            <RdpEditor id={id} known={pool} lacks={lacks('write')} />
          </Kept>
        </>
      )}
      {tab === 'groups' && <AppGroupList pool={id} />}
      {tab === 'connections' && <ConnectionList scope={id} />}
      {tab === 'activity' && <ActivityList resource={id} />}
      {removing && <PoolRemoval id={id} close={() => setRemoving(false)} />}
    </Page>
  )
}

const labels: Partial<Record<keyof PoolValues, string>> = {
  friendlyName: t.friendlyName, description: t.description, personalDesktopAssignmentType: t.assignment, loadBalancerType: t.balancing, maxSessionLimit: t.limit, preferredAppGroupType: t.preferred,
  validationEnvironment: t.validation, startVMOnConnect: t.start,
}

function Properties({ id, known, lacks }: { id: string; known: { body: Pool; etag: string }; lacks: string | false }) {
  const type = known.body.properties.hostPoolType
  const { form, save, saving, conflicts, settle } = useEdit<Pool, PoolValues>({ path: id, known, read: valuesOf, write: (changed) => ({ properties: bodyOf(changed, type) }), title: t.saving(parseID(id).name) })
  return (
    <Form submit={() => void save()}>
      <ErrorNotice error={form.error?.conflict ? null : form.error} />
      <Conflicts conflicts={conflicts} label={(name) => labels[name] ?? String(name)} settle={settle} />
      <PoolFields form={form} disabled={Boolean(lacks)} />
      <SaveBar changed={form.changed.length > 0 && form.values.maxSessionLimit !== null} saving={saving} save={() => void save()} discard={form.reset} lacks={lacks} />
    </Form>
  )
}
