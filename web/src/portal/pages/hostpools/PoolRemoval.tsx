// The question before a host pool is deleted: what goes with it, what stays, what must go
// first. Hosts that nobody was told of are not forced: the service refuses then.
import { useList, useService } from '../../arm/context'
import { nameOf, sameID } from '../../arm/ids'
import type { ApplicationGroup } from '../../arm/types-publish'
import type { ScalingPlan } from '../../arm/types-scaling'
import { To } from '../../frame/Page'
import { Removal } from '../../frame/Removal'
import { go, href } from '../../router'
import { portalTexts } from '../../texts/en'
import { countsOf, sessionsIn, useSummary } from '../overview/summary'

const t = portalTexts.hostpools

export function PoolRemoval({ id, close }: { id: string; close: () => void }) {
  const { subscription } = useService()
  const root = `/subscriptions/${subscription}/providers/Microsoft.DesktopVirtualization`
  const groups = useList<ApplicationGroup>(`${root}/applicationGroups`).data?.filter((g) => sameID(g.properties.hostPoolArmPath, id)) ?? []
  const plans = useList<ScalingPlan>(`${root}/scalingPlans`).data?.filter((p) => p.properties.hostPoolReferences.some((r) => sameID(r.hostPoolArmPath, id))) ?? []
  const counts = countsOf(useSummary().data, id)
  const hosts = counts?.sessionHosts?.total
  const text = (
    <>
      {groups.length > 0 && (
        <span>
          {t.groupsFirst}{' '}
          {groups.map((g, i) => (
            <span key={g.id}>
              {i > 0 && ', '}
              <To to={href('appgroup', g.id)}>{nameOf(g.id)}</To>
            </span>
          ))}
        </span>
      )}
      <span>{hosts === undefined ? t.deleteText : t.deleteCounts(hosts, sessionsIn(counts))}</span>
      {plans.length > 0 && <span>{t.leavesPlans(plans.map((p) => nameOf(p.id)).join(', '))}</span>}
    </>
  )
  return <Removal id={id} query={hosts ? '?force=true' : ''} text={text} blocked={groups.length > 0} gone={() => go(href('hostpools'))} close={close} />
}
