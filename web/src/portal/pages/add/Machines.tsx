// The tab Virtual machines, in its two kinds.
import { Text } from '@fluentui/react-components'
import { useEffect } from 'react'
import { useList, pace, useService } from '../../arm/context'
import { groupID, sameID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { Resource } from '../../arm/types'
import { Form, Section } from '../../frame/Fields'
import { portalTexts } from '../../texts/en'
import { Alike } from './Alike'
import { AzureMachines } from './AzureMachines'
import { AzureNetwork } from './AzureNetwork'
import { BoundRadio, BoundSecret, BoundSelect, BoundText, choicesOf } from './Bound'
import { useNamesInUse } from './choices'
import { Domain } from './Domain'
import { kinds, stacked, withKind } from './draft'
import { namesFor, prefixFault } from './names'
import { StackMachines, StackNetwork } from './StackMachines'
import { useWizard } from './wizard'

const t = portalTexts.add

export function Machines() {
  const { draft } = useWizard()
  const ofStack = stacked(draft)
  return (
    <Form>
      <Alike />
      <Section title={t.sections.machines}>
        <Where />
        {ofStack ? <StackMachines /> : <AzureMachines />}
      </Section>
      <Section title={t.sections.network}>{ofStack ? <StackNetwork /> : <AzureNetwork />}</Section>
      <Section title={t.sections.domain}>
        <Domain />
      </Section>
      <Section title={t.sections.admin}>
        <BoundText name="username" hint={t.userHint} required />
        <BoundSecret name="password" hint={t.passwordHint} required />
        <BoundSecret name="confirmPassword" required />
      </Section>
      {!ofStack && (
        <Section title={t.sections.script}>
          <BoundText name="scriptUrl" hint={t.scriptHint} type="url" placeholder="https://" />
        </Section>
      )}
    </Form>
  )
}

/** Resource group, names and kind: what both kinds begin with. */
function Where() {
  const { subscription } = useService()
  const { pool, draft, set } = useWizard()
  const groups = useList<Resource>(`/subscriptions/${subscription}/resourceGroups`, pace.slow)
  const may = useMay(draft.resourceGroup ? groupID(subscription, draft.resourceGroup) : '')
  const { hostKinds } = useNamesInUse(pool.id, draft.resourceGroup)
  const action = stacked(draft) ? 'Microsoft.HybridCompute/machines/write' : 'Microsoft.Compute/virtualMachines/write'
  const only = hostKinds.size === 1 ? (hostKinds.has('stack') ? kinds.stack : kinds.azure) : null
  useEffect(() => {
    if (only && draft.virtualMachineType !== only) set(withKind(only))
  }, [only, draft.virtualMachineType, set])
  const named = groups.data?.find((g) => sameID(g.name, draft.resourceGroup))?.name ?? draft.resourceGroup
  const list = groups.data?.map((g) => ({ value: g.name, text: g.name })) ?? [{ value: named, text: named }]
  return (
    <>
      <BoundSelect
        name="resourceGroup" hint={t.groupHint} required of={list} change={(resourceGroup) => ({ resourceGroup, availabilitySetName: '' })}
        error={may.known && !may(action) ? t.groupLacks(action) : undefined}
      />
      <Prefix />
      <BoundRadio
        name="virtualMachineType" of={choicesOf(t.kinds).map((k) => ({ ...k, disabled: only !== null && k.value !== only }))} change={withKind}
        hint={only ? t.kindHint(t.kinds[only] ?? only) : undefined}
      />
    </>
  )
}

/** The prefix, its rule while it is typed, and the names that come of it. */
function Prefix() {
  const { pool, draft } = useWizard()
  const { names } = useNamesInUse(pool.id, draft.resourceGroup)
  const prefix = draft.namePrefix.trim()
  const come = namesFor(prefix, draft.numberOfVirtualMachines ?? 0, names)
  const fault = prefixFault(prefix, come.at(-1))
  const first = come[0]
  const last = come.at(-1)
  return (
    <>
      <BoundText name="namePrefix" required placeholder="hp01-sh" hint={t.prefixHint(prefix.length)} error={fault ? t.prefixFaults[fault] : undefined} />
      {prefix && !fault && first && last && (
        <Text role="status" size={200}>
          {t.names(first, last)}
        </Text>
      )}
    </>
  )
}
