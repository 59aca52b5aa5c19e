// Parameters of Azure virtual machines.
import { Button } from '@fluentui/react-components'
import { useEffect, useState } from 'react'
import { sameID } from '../../arm/ids'
import type { Usage } from '../../arm/types-resources'
import { SelectField } from '../../frame/Fields'
import { portalTexts } from '../../texts/en'
import { At, BoundCheck, BoundNumber, BoundSelect, BoundText, choicesOf } from './Bound'
import { CheckChoices } from './Choices'
import { customSize, imageKey, imageText, useAzureChoices, type Choice, type Size } from './choices'
import { withSecurityType } from './draft'
import { ImagePanel, SizePanel } from './Panels'
import { useWizard } from './wizard'

const t = portalTexts.add
const diskSizes = [0, 32, 64, 128, 256, 512, 1024, 2048, 4095]

export function AzureMachines() {
  const { pool, draft, finding, set } = useWizard()
  const of = useAzureChoices(draft.location, draft.resourceGroup)
  const networks = of.networks.data
  const hasNetwork = (location: string) => networks?.some((n) => sameID(n.location ?? '', location)) ?? false
  const places = of.locations.data ?? []
  const home = places.find((l) => sameID(l.name, pool.location ?? '') && hasNetwork(l.name)) ?? places.find((l) => hasNetwork(l.name))
  useEffect(() => {
    if (!draft.location && home) set({ location: home.name })
  }, [draft.location, home, set])
  const personal = pool.properties.hostPoolType === 'Personal'
  return (
    <>
      <BoundSelect
        name="location" hint={t.locationHint} required none={t.noneOffered} of={places.map((l) => ({ value: l.name, text: hasNetwork(l.name) ? l.displayName : t.noNetwork(l.displayName), disabled: !hasNetwork(l.name) }))}
        change={(location) => ({ location, virtualNetwork: '', subnet: '', imageReference: null, availabilitySetName: '', networkSecurityGroupId: '' })}
      />
      <Availability sets={of.sets.data?.filter((s) => sameID(s.location ?? '', draft.location)).map((s) => s.name) ?? []} />
      <Security />
      <Image choices={of.images.data} />
      <SizeChoice sizes={of.sizes} usages={of.usages.data} />
      <BoundCheck name="hibernate" disabled={!personal && !draft.hibernate} hint={personal ? t.hibernateHint : t.hibernatePooled} />
      <BoundNumber name="numberOfVirtualMachines" required min={1} max={400} hint={t.countHint} />
      <BoundSelect name="osDiskType" of={choicesOf(t.disks)} required />
      <At field="osDiskSizeGB">
        <SelectField label={t.fields.osDiskSizeGB} value={String(draft.osDiskSizeGB)} change={(v) => set({ osDiskSizeGB: Number(v) })} of={diskSizes.map((gb) => ({ value: String(gb), text: t.diskSize(gb) }))} error={finding('osDiskSizeGB')} />
      </At>
      {draft.securityType === 'ConfidentialVM' && <BoundCheck name="confidentialComputeEncryption" hint={t.encryptionHint} />}
      <BoundSelect name="bootDiagnostics" of={choicesOf(t.diagnostics)} />
      {draft.bootDiagnostics === 'Custom' && <BoundText name="bootDiagnosticsStorageUri" type="url" placeholder="https://" required />}
    </>
  )
}

function Availability({ sets }: { sets: string[] }) {
  const { draft, set, finding } = useWizard()
  return (
    <>
      <BoundSelect name="availabilityOption" of={choicesOf(t.availability)} />
      {draft.availabilityOption === 'AvailabilityZone' && (
        <At field="availabilityZones">
          <CheckChoices label={t.fields.availabilityZones} hint={t.zonesHint} required error={finding('availabilityZones')} of={['1', '2', '3'].map((z) => ({ value: z, text: t.zone(z) }))} chosen={draft.availabilityZones} change={(zones) => set({ availabilityZones: zones.sort() })} />
        </At>
      )}
      {draft.availabilityOption === 'AvailabilitySet' && <BoundSelect name="availabilitySetName" hint={t.setHint} required none={t.noneOffered} of={sets.map((s) => ({ value: s, text: s }))} />}
    </>
  )
}

function Security() {
  const { draft } = useWizard()
  const confidential = draft.securityType === 'ConfidentialVM'
  return (
    <>
      <BoundSelect name="securityType" of={choicesOf(t.security)} change={withSecurityType} />
      {draft.securityType !== 'Standard' && (
        <>
          <BoundCheck name="secureBoot" />
          <BoundCheck name="vTPM" disabled={confidential} hint={confidential ? t.vtpmHint : undefined} />
          <BoundCheck name="integrityMonitoring" hint={t.integrityHint} />
        </>
      )}
    </>
  )
}

function Image({ choices }: { choices: Choice[] | undefined }) {
  const { draft, set, finding } = useWizard()
  const [open, setOpen] = useState(false)
  const key = imageKey(draft.imageReference)
  const short = choices?.filter((c) => c.latest) ?? []
  const shown = [...short.map((c) => ({ value: c.key, text: c.version ? `${c.text} (${c.version})` : c.text })), ...(key && !short.some((c) => c.key === key) ? [{ value: key, text: imageText(draft.imageReference) }] : [])]
  const choose = (value: string) => set({ imageReference: choices?.find((c) => c.key === value)?.reference ?? null })
  return (
    <At field="imageReference">
      <SelectField label={t.fields.imageReference} required none={t.noneOffered} value={key} change={choose} of={shown} error={finding('imageReference')} hint={choices?.length === 0 ? t.noImages : undefined} />
      <Button appearance="transparent" onClick={() => setOpen(true)}>
        {t.allImages}
      </Button>
      {open && <ImagePanel choices={choices} choose={(c) => set({ imageReference: c.reference })} close={() => setOpen(false)} />}
    </At>
  )
}

/** Sizes that are offered without the whole list, where the location has them. */
const common = ['Standard_D2s_v5', 'Standard_D4s_v5', 'Standard_D8s_v5', 'Standard_D2s_v3', 'Standard_D4s_v3', 'Standard_B2ms', 'Standard_B4ms']

function SizeChoice({ sizes, usages }: { sizes: Size[] | undefined; usages: Usage[] | undefined }) {
  const { draft, set, finding } = useWizard()
  const [open, setOpen] = useState(false)
  const cores = usages?.find((u) => u.name.value === 'cores')
  const chosen = sizes?.find((s) => sameID(s.name, draft.size)) ?? customSize(draft.size)
  const short = sizes?.filter((s) => common.includes(s.name)) ?? []
  const list = chosen && !short.some((s) => s.name === chosen.name) ? [...short, chosen] : short
  const left = cores && cores.limit > 0 ? t.sizeLeft(Math.max(0, cores.limit - cores.currentValue)) : undefined
  return (
    <At field="size">
      <SelectField label={t.fields.size} required none={t.noneOffered} value={chosen?.name ?? ''} change={(size) => set({ size })} of={list.map((s) => ({ value: s.name, text: `${s.name}: ${t.sizeOf(s.cores, s.memoryGB)}` }))} hint={left} error={finding('size')} />
      <Button appearance="transparent" onClick={() => setOpen(true)}>
        {t.changeSize}
      </Button>
      {open && <SizePanel sizes={sizes} choose={(size) => set({ size })} close={() => setOpen(false)} />}
    </At>
  )
}
