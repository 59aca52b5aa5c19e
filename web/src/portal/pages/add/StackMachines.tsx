// Parameters of Azure Stack HCI virtual machines.
import { Button } from '@fluentui/react-components'
import { SelectField } from '../../frame/Fields'
import { href } from '../../router'
import { portalTexts } from '../../texts/en'
import { At, BoundNumber, BoundRadio, BoundSelect, choicesOf } from './Bound'
import { imageKey, useStackChoices } from './choices'
import { useWizard } from './wizard'

const t = portalTexts.add

export function StackMachines() {
  const { draft } = useWizard()
  const of = useStackChoices(draft.customLocation)
  return (
    <>
      <BoundSelect
        name="customLocation" required none={t.noneOffered} hint={of.customLocations.data?.length === 0 ? t.noCustomLocations : undefined}
        of={of.customLocations.data?.map((l) => ({ value: l.id, text: l.properties.displayName ?? l.name })) ?? []} change={(customLocation) => ({ customLocation, imageReference: null, logicalNetwork: '' })}
      />
      <Images />
      <BoundNumber name="numberOfVirtualMachines" required min={1} max={400} hint={t.countHint} />
      <BoundNumber name="virtualProcessorCount" required min={1} />
      <BoundRadio name="memoryType" of={choicesOf(t.memoryTypes)} />
      <BoundNumber name="memoryMB" required min={1} />
      {draft.memoryType === 'Dynamic' && (
        <>
          <BoundNumber name="minimumMemoryMB" required min={1} />
          <BoundNumber name="maximumMemoryMB" required min={1} />
          <BoundNumber name="targetMemoryBuffer" min={0} max={100} />
        </>
      )}
    </>
  )
}

function Images() {
  const { draft, set, finding } = useWizard()
  const { images } = useStackChoices(draft.customLocation)
  const choose = (value: string) => set({ imageReference: images?.find((c) => c.key === value)?.reference ?? null })
  return (
    <At field="imageReference">
      <SelectField
        label={t.images} required none={t.noneOffered} value={imageKey(draft.imageReference)} change={choose} of={images?.map((c) => ({ value: c.key, text: c.text })) ?? []} error={finding('imageReference')}
        hint={draft.customLocation && images?.length === 0 ? t.noStackImages : undefined}
      />
      <Button as="a" appearance="transparent" href={href('images')}>
        {t.manageImages}
      </Button>
    </At>
  )
}

export function StackNetwork() {
  const { draft } = useWizard()
  const { networks } = useStackChoices(draft.customLocation)
  return (
    <BoundSelect
      name="logicalNetwork" required none={t.noneOffered} hint={draft.customLocation && networks?.length === 0 ? t.noLogicalNetworks : undefined}
      of={networks?.map((n) => ({ value: n.id, text: t.subnetOf(n.name, n.properties.subnets?.map((s) => s.properties.addressPrefix ?? s.properties.ipAllocationMethod ?? '').join(', ') ?? '') })) ?? []}
    />
  )
}
