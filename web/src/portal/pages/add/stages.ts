// The stages of a host on its way into the pool.
import type { HostProgress } from '../../arm/types-wizard'
import type { Tone } from '../../frame/Status'

/** The stages in their order. */
export const stages = ['Queued', 'Network', 'Machine', 'Starting', 'Booting', 'Joining', 'Agent', 'Available'] as const

/** How a stage is taken. */
export function toneOfStage(stage: string): Tone {
  switch (stage) {
    case 'Available':
      return 'good'
    case 'Failed':
      return 'bad'
    case 'Canceled':
      return 'off'
    case 'Queued':
      return 'unknown'
  }
  return 'busy'
}

/** How the state of a run is taken. */
export const toneOfRun = (state: string): Tone => toneOfStage(state === 'Succeeded' ? 'Available' : state)

/** Whether a host's way has ended. */
export const ended = (stage: string) => ['Available', 'Failed', 'Canceled'].includes(stage)

/** How one stage of a host stands. */
export type Standing = 'done' | 'current' | 'failedHere' | 'ahead'

/**
 * Each stage of a host with how it stands. Of one that failed only what stands is known:
 * reached is the last stage that was seen before.
 */
export function standings(h: HostProgress, reached: string): { stage: string; standing: Standing }[] {
  const failed = h.stage === 'Failed' || h.stage === 'Canceled'
  const at = stages.indexOf((failed ? reached : h.stage) as (typeof stages)[number])
  return stages.map((stage, i) => {
    if (h.stage === 'Available' || i < at) return { stage, standing: 'done' }
    if (i === at) return { stage, standing: failed ? 'failedHere' : 'current' }
    return { stage, standing: 'ahead' }
  })
}

/** The stage in which a host failed, from what there is of it. */
export function failedStage(h: HostProgress, parts: { type: string; state: string }[]): string {
  if (h.sessionHostId) return 'Agent'
  const has = (type: string) => parts.find((p) => p.type.toLowerCase().endsWith(type.toLowerCase()))
  const extension = parts.filter((p) => p.type.toLowerCase().endsWith('/extensions')).find((p) => p.state.toLowerCase() === 'failed')
  if (extension) return 'Joining'
  const machine = has('virtualMachines') ?? has('virtualMachineInstances')
  if (machine?.state.toLowerCase() === 'succeeded') return 'Agent'
  if (machine) return 'Booting'
  return has('networkInterfaces') ? 'Network' : 'Queued'
}
