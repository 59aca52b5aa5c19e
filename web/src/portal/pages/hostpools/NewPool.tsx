// Makes a host pool.
import { Button } from '@fluentui/react-components'
import { useState } from 'react'
import { useService } from '../../arm/context'
import { groupID, sameID } from '../../arm/ids'
import { useGroups, useLocations } from '../../arm/places'
import { ErrorNotice } from '../../frame/ErrorNotice'
import { Form, Section, SelectField, TextField } from '../../frame/Fields'
import { useForm } from '../../frame/form'
import { act } from '../../frame/notifications'
import { Page } from '../../frame/Page'
import { LocationField } from '../../frame/Place'
import { TagRows } from '../../frame/TagRows'
import { tagsOf, type Tag } from '../../frame/tags'
import { Warning } from '../../frame/Warning'
import { go, href, useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import { creates } from './HostPools'
import { PoolFields, bodyOf, freshPool } from './PoolFields'
import { parse } from './rdp'
import { RdpFields } from './RdpEditor'

const t = portalTexts.hostpools
const anew = 'new'

interface Around extends Record<string, unknown> {
  group: string
  newGroup: string
  name: string
  location: string
  customRdpProperty: string
  tags: Tag[]
}

const nowhere: Around = { group: '', newGroup: '', name: '', location: '', customRdpProperty: '', tags: [] }
const tabs = [{ key: 'basics', text: t.basics }, { key: 'rdp', text: t.rdp }, { key: 'tags', text: t.tags }]

/** What is typed, and what making it does. */
function useNewPool() {
  const { arm, live, subscription } = useService()
  const groups = useGroups(creates)
  const [first] = useLocations()
  const around = useForm(nowhere)
  const pool = useForm(freshPool)
  const [busy, setBusy] = useState(false)
  const v = around.values
  const group = v.group === anew ? v.newGroup.trim() : v.group
  const location = v.location || first?.name
  const create = async () => {
    const scope = groupID(subscription, group)
    const id = `${scope}/providers/Microsoft.DesktopVirtualization/hostPools/${encodeURIComponent(v.name.trim())}`
    const settings = pool.values.hostPoolType === 'Personal' ? { ...bodyOf(pool.values, 'Personal'), loadBalancerType: 'Persistent' } : bodyOf(pool.values, 'Pooled')
    const rdp = v.customRdpProperty ? { customRdpProperty: v.customRdpProperty } : {}
    setBusy(true)
    const failed = await act(t.creating(v.name), async () => {
      if (v.group === anew && !groups.data?.some((g) => sameID(g.name, group))) await arm.put(scope, { location })
      await arm.put(id, { location, tags: tagsOf(v.tags), properties: { ...settings, ...rdp } }, { ifNoneMatch: '*' })
    })
    setBusy(false)
    pool.show(failed)
    around.show(failed)
    live.reload('hostPools')
    if (failed) return
    around.reset()
    pool.reset()
    setTimeout(() => go(href('hostpool', id))) // once nothing holds the page
  }
  const unclear = parse(v.customRdpProperty).bad.length > 0
  const ready = Boolean(group && v.name.trim()) && pool.values.maxSessionLimit !== null && !unclear
  return { groups, around, pool, busy, ready, unclear, create }
}

export default function NewPool() {
  const [tab] = useQuery('tab', 'basics')
  const { groups, around, pool, busy, ready, unclear, create } = useNewPool()
  const v = around.values
  const choices = [...(groups.data ?? []).map((g) => ({ value: g.name, text: g.name })), ...(groups.everywhere ? [{ value: anew, text: t.newGroupOption }] : [])]
  return (
    <Page title={t.create} crumbs={[{ text: t.pools, to: href('hostpools') }]} tabs={tabs}>
      <Form submit={() => void create()}>
        <ErrorNotice error={pool.error} />
        {tab === 'basics' && (
          <>
            <SelectField label={t.group} value={v.group} change={(x) => around.set('group', x)} none="" of={choices} required />
            {v.group === anew && <TextField label={t.newGroup} value={v.newGroup} change={(x) => around.set('newGroup', x)} required />}
            <TextField label={t.name} value={v.name} change={(x) => around.set('name', x)} required error={around.finding('name')} />
            <LocationField value={v.location} change={(x) => around.set('location', x)} error={around.finding('location')} />
            <PoolFields form={pool} isNew />
          </>
        )}
        {tab === 'rdp' && <RdpFields text={v.customRdpProperty} change={(x) => around.set('customRdpProperty', x)} error={around.finding('customRdpProperty')} disabled={false} />}
        {tab === 'tags' && (
          <Section title={t.tags}>
            <TagRows tags={v.tags} change={(x) => around.set('tags', x)} error={around.finding('tags')} />
          </Section>
        )}
        {unclear && tab !== 'rdp' && <Warning>{t.rdpStops}</Warning>}
        <div>
          <Button type="submit" appearance="primary" disabled={busy || !ready || Boolean(groups.lacks)} title={groups.lacks ? portalTexts.frame.needs(groups.lacks) : undefined}>
            {t.create}
          </Button>
        </div>
      </Form>
    </Page>
  )
}
