// The tab Basics: what the host pool fixes.
import { Text } from '@fluentui/react-components'
import { parseID } from '../../arm/ids'
import { Details } from '../../frame/Details'
import { count } from '../../frame/format'
import { To } from '../../frame/Page'
import { portalTexts } from '../../texts/en'
import { pageOf } from '../kinds'
import { useNamesInUse } from './choices'
import { useWizard } from './wizard'

const t = portalTexts.add
const yesNo = (b: boolean | undefined) => (b ? portalTexts.frame.yes : portalTexts.frame.no)

export function Basics() {
  const { pool } = useWizard()
  const { hosts } = useNamesInUse(pool.id, '')
  const id = parseID(pool.id)
  const p = pool.properties
  return (
    <>
      <Text>{t.basicsHint}</Text>
      <Details
        of={[
          [t.basics.subscription, id.subscription],
          [t.basics.group, id.group],
          [t.basics.pool, <To key="p" to={pageOf(pool.id)}>{pool.name}</To>],
          [t.basics.location, pool.location],
          [t.basics.validation, yesNo(p.validationEnvironment)],
          [t.basics.preferred, p.preferredAppGroupType],
          [t.basics.type, p.hostPoolType],
          [t.basics.balancing, p.loadBalancerType],
          [t.basics.limit, p.maxSessionLimit === undefined ? '' : count(p.maxSessionLimit)],
          [t.basics.start, yesNo(p.startVMOnConnect)],
          [t.basics.hosts, hosts === undefined ? '' : count(hosts)],
          [t.basics.key, t.keyHint],
        ]}
      />
    </>
  )
}
