// The settings of a host pool as fields: the same for a new one and for one that is there.
import { NumberField, SelectField, SwitchField, TextField, LongTextField } from '../../frame/Fields'
import type { Form } from '../../frame/form'
import type { HostPool } from '../../arm/types-hostpools'
import { portalTexts } from '../../texts/en'

const t = portalTexts.hostpools

export interface PoolValues extends Record<string, unknown> {
  hostPoolType: string
  personalDesktopAssignmentType: string
  loadBalancerType: string
  maxSessionLimit: number | null
  preferredAppGroupType: string
  validationEnvironment: boolean
  startVMOnConnect: boolean
  friendlyName: string
  description: string
}

export const freshPool: PoolValues = {
  hostPoolType: 'Pooled', personalDesktopAssignmentType: 'Automatic', loadBalancerType: 'BreadthFirst', maxSessionLimit: 10, preferredAppGroupType: 'Desktop',
  validationEnvironment: false, startVMOnConnect: false, friendlyName: '', description: '',
}

/** The values of a pool that is there. */
export function valuesOf(pool: HostPool): PoolValues {
  const p = pool.properties
  return {
    hostPoolType: p.hostPoolType, personalDesktopAssignmentType: p.personalDesktopAssignmentType ?? 'Automatic', loadBalancerType: p.loadBalancerType, maxSessionLimit: p.maxSessionLimit,
    preferredAppGroupType: p.preferredAppGroupType, validationEnvironment: p.validationEnvironment, startVMOnConnect: p.startVMOnConnect, friendlyName: p.friendlyName ?? '', description: p.description ?? '',
  }
}

/** What of the values belongs into a body: a personal pool balances nothing, a pooled one assigns nothing. */
export function bodyOf(values: Partial<PoolValues>, type: string): Record<string, unknown> {
  const { personalDesktopAssignmentType, loadBalancerType, maxSessionLimit, ...rest } = values
  const own = type === 'Personal' ? { personalDesktopAssignmentType } : { loadBalancerType, maxSessionLimit: maxSessionLimit ?? undefined }
  return Object.fromEntries(Object.entries({ ...rest, ...own }).filter(([, v]) => v !== undefined))
}

const options = (of: Record<string, string>, values: string[]) => values.map((value) => ({ value, text: of[value] ?? value }))

export function PoolFields({ form, isNew = false, disabled = false }: { form: Form<PoolValues>; isNew?: boolean; disabled?: boolean }) {
  const { values: v, set, finding } = form
  const personal = v.hostPoolType === 'Personal'
  return (
    <>
      <TextField label={t.friendlyName} value={v.friendlyName} change={(x) => set('friendlyName', x)} error={finding('friendlyName')} disabled={disabled} />
      <LongTextField label={t.description} value={v.description} change={(x) => set('description', x)} rows={2} error={finding('description')} disabled={disabled} />
      {isNew && <SelectField label={t.type} value={v.hostPoolType} change={(x) => set('hostPoolType', x)} of={options(t.types, ['Pooled', 'Personal'])} error={finding('hostPoolType')} required />}
      {personal ? (
        <SelectField label={t.assignment} value={v.personalDesktopAssignmentType} change={(x) => set('personalDesktopAssignmentType', x)} of={options(t.assignments, ['Automatic', 'Direct'])} error={finding('personalDesktopAssignmentType')} disabled={disabled} />
      ) : (
        <>
          <SelectField label={t.balancing} value={v.loadBalancerType} change={(x) => set('loadBalancerType', x)} of={options(t.balancings, ['BreadthFirst', 'DepthFirst'])} error={finding('loadBalancerType')} disabled={disabled} />
          <NumberField label={t.limit} hint={t.limitHint} value={v.maxSessionLimit} change={(x) => set('maxSessionLimit', x)} min={1} required error={v.maxSessionLimit === null ? portalTexts.frame.required : finding('maxSessionLimit')} disabled={disabled} />
        </>
      )}
      <SelectField label={t.preferred} value={v.preferredAppGroupType} change={(x) => set('preferredAppGroupType', x)} of={options(t.preferreds, ['Desktop', 'RailApplications'])} error={finding('preferredAppGroupType')} disabled={disabled} />
      <SwitchField label={t.validation} hint={t.validationHint} value={v.validationEnvironment} change={(x) => set('validationEnvironment', x)} disabled={disabled} />
      <SwitchField label={t.start} hint={t.startHint} value={v.startVMOnConnect} change={(x) => set('startVMOnConnect', x)} disabled={disabled} />
    </>
  )
}
