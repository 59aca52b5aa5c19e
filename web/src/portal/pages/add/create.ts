// Begins the run, once: a lost answer does not make it begin twice.
import { useRef, useState } from 'react'
import { useService } from '../../arm/context'
import { asArmError, type ArmError } from '../../arm/errors'
import { nameOf } from '../../arm/ids'
import type { AddedSessionHosts } from '../../arm/types-wizard'
import { act } from '../../frame/notifications'
import { go, href } from '../../router'
import { portalTexts } from '../../texts/en'
import { bodyOf, keep } from './draft'
import { useWizard } from './wizard'

const t = portalTexts.add

/** The permission that adding hosts needs on the host pool. */
export const adding = 'Microsoft.DesktopVirtualization/hostPools/write'

/** A deployment's name that no other has. */
export function deploymentName(prefix: string, now: Date, random: string): string {
  const at = now.toISOString().replace(/\D/g, '').slice(0, 14)
  return `addSessionHosts-${prefix.toLowerCase()}-${at}-${random}`
}

/** The address of a run's page. */
export const runAddress = (pool: string, deployment: string) => href('run', `${pool}/sessionHostRuns/${deployment}`)

/** Whether the run can begin, how, and why it did not. */
export function useCreate(): { ready: boolean; create: () => void; error: ArmError | null } {
  const { arm } = useService()
  const { pool, draft, secrets, passed } = useWizard()
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<ArmError | null>(null)
  const name = useRef('')
  const begin = async () => {
    name.current ||= deploymentName(draft.namePrefix.trim(), new Date(), crypto.randomUUID().slice(0, 4))
    try {
      const added = await arm.post<AddedSessionHosts>(`${pool.id}/addSessionHosts`, { ...bodyOf(draft, secrets), deploymentName: name.current })
      return nameOf(added.deploymentId ?? name.current)
    } catch (thrown) {
      const refusal = asArmError(thrown)
      // Its answer was lost, and now the run is there: it had begun.
      if (refusal.code === 'DeploymentActive') return name.current
      if (!refusal.lost) name.current = ''
      throw refusal
    }
  }
  const create = () => {
    let begun = ''
    setBusy(true)
    setError(null)
    void act(t.adding(draft.numberOfVirtualMachines ?? 0, pool.name), async () => {
      begun = await begin()
    }).then((failed) => {
      setBusy(false)
      setError(failed)
      if (failed) return
      keep(pool.id, null)
      go(runAddress(pool.id, begun))
    })
  }
  return { ready: passed && !busy, create, error }
}
