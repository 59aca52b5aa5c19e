// Network and security of Azure virtual machines.
import { Link } from '@fluentui/react-components'
import { useState } from 'react'
import { sameID } from '../../arm/ids'
import { href } from '../../router'
import { portalTexts } from '../../texts/en'
import { At, BoundCheck, BoundRadio, BoundSelect, choicesOf } from './Bound'
import { CheckChoices, Choices } from './Choices'
import { useAzureChoices } from './choices'
import { useWizard } from './wizard'
import { Warning } from '../../frame/Warning'

const t = portalTexts.add

export function AzureNetwork() {
  const { draft } = useWizard()
  const of = useAzureChoices(draft.location, draft.resourceGroup)
  const here = of.networks.data?.filter((n) => sameID(n.location ?? '', draft.location))
  const network = here?.find((n) => sameID(n.id, draft.virtualNetwork))
  const groups = of.securityGroups.data?.filter((g) => sameID(g.location ?? '', draft.location)) ?? []
  return (
    <>
      <BoundSelect name="virtualNetwork" required none={t.noneOffered} of={here?.map((n) => ({ value: n.id, text: n.name })) ?? []} change={(virtualNetwork) => ({ virtualNetwork, subnet: onlySubnet(here?.find((n) => n.id === virtualNetwork)?.properties.subnets) })} />
      {here?.length === 0 && (
        <span>
          {t.noNetworks}{' '}
          <Link inline href={href('networks')}>
            {t.createNetwork}
          </Link>
        </span>
      )}
      {network && <BoundSelect name="subnet" required none={t.noneOffered} of={network.properties.subnets?.map((s) => ({ value: s.name, text: t.subnetOf(s.name, s.properties.addressPrefix ?? s.properties.addressPrefixes?.join(', ') ?? '') })) ?? []} />}
      <BoundRadio name="networkSecurityGroup" of={choicesOf(t.nsg)} hint={t.nsgHints[draft.networkSecurityGroup]} change={(networkSecurityGroup) => ({ networkSecurityGroup, ...(networkSecurityGroup === 'Basic' ? {} : { publicInboundPorts: [], portsConfirmed: false }) })} />
      {draft.networkSecurityGroup === 'Advanced' && <BoundSelect name="networkSecurityGroupId" required none={t.noneOffered} of={groups.map((g) => ({ value: g.id, text: g.name }))} />}
      {draft.networkSecurityGroup === 'Basic' && <Ports />}
    </>
  )
}

/** The only subnet there is, or none yet. */
export const onlySubnet = (subnets: { name: string }[] | undefined) => (subnets?.length === 1 ? (subnets[0]?.name ?? '') : '')

function Ports() {
  const { draft, set, finding } = useWizard()
  const ports = draft.publicInboundPorts
  const [open, setOpen] = useState(ports.length > 0)
  const answer = (yes: boolean) => {
    setOpen(yes)
    set({ publicInboundPorts: yes ? [3389] : [], portsConfirmed: false })
  }
  return (
    <At field="publicInboundPorts">
      <Choices label={t.fields.publicInboundPorts} hint={t.portsHint} error={finding('publicInboundPorts')} of={[{ value: 'no', text: t.portsNo }, { value: 'yes', text: t.portsYes }]} value={open ? 'yes' : 'no'} change={(v) => answer(v === 'yes')} />
      {open && (
        <>
          <CheckChoices label={t.portsWhich} required of={choicesOf(t.ports)} chosen={ports.map(String)} change={(chosen) => set({ publicInboundPorts: chosen.map(Number) })} />
          <Warning>{t.portsWarning}</Warning>
          <BoundCheck name="portsConfirmed" />
        </>
      )}
    </At>
  )
}
