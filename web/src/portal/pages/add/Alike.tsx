// Offers the values of a machine that the pool has: most hosts of a pool are alike.
import { Button, MessageBar, MessageBarActions, MessageBarBody } from '@fluentui/react-components'
import { pace, useLive, useService } from '../../arm/context'
import { ArmError } from '../../arm/errors'
import { nameOf } from '../../arm/ids'
import type { SessionHost } from '../../arm/types-hosts'
import { portalTexts } from '../../texts/en'
import { hasMachine } from '../hosts/actions'
import { alike, type InterfaceBody, type MachineBody } from './alike'
import { imageText } from './choices'
import { stacked } from './draft'
import { useWizard } from './wizard'

const t = portalTexts.add

/** So many hosts are looked at for one with a machine. */
const looked = 20

export function Alike() {
  const { arm } = useService()
  const { pool, draft, set } = useWizard()
  const untouched = !draft.size && !draft.imageReference && !draft.namePrefix && !stacked(draft)
  const known = useLive(
    untouched ? `a machine of ${pool.id}` : '',
    async (signal) => {
      const { value } = await arm.get<{ value: SessionHost[] }>(`${pool.id}/sessionHosts?$top=${looked}`, { signal })
      const host = value.find(hasMachine)
      if (!host) return null
      try {
        const vm = await arm.get<MachineBody>(host.properties.resourceId ?? '', { signal })
        const nic = vm.properties.networkProfile?.networkInterfaces?.[0]?.id
        return alike(vm, nic ? await arm.get<InterfaceBody>(nic, { signal }) : null)
      } catch (thrown) {
        if (thrown instanceof ArmError && (thrown.status === 403 || thrown.status === 404)) return null // nothing to offer to this person
        throw thrown
      }
    },
    pace.once,
  )
  const values = known.data
  if (!untouched || !values?.size) return null
  return (
    <MessageBar intent="info" layout="multiline">
      <MessageBarBody>{t.alike(values.namePrefix ?? '', values.size, imageText(values.imageReference ?? null), values.virtualNetwork ? nameOf(values.virtualNetwork) : '')}</MessageBarBody>
      <MessageBarActions>
        <Button onClick={() => set(values)}>{t.takeAlike}</Button>
      </MessageBarActions>
    </MessageBar>
  )
}
