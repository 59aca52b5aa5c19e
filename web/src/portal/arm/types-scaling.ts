// Shapes of scaling plans and their schedules.
import type { Resource } from './types'

export interface PoolReference {
  hostPoolArmPath: string
  scalingPlanEnabled: boolean
}

export type ScalingPlan = Resource<{
  friendlyName: string | null
  description: string | null
  timeZone: string
  hostPoolType: string
  exclusionTag: string | null
  hostPoolReferences: PoolReference[]
}>

export interface ClockTime {
  hour: number
  minute: number
}

/** A schedule of either kind: its days, and by phase a start time and settings such as rampUpMinimumHostsPct. */
export type Schedule = Resource<{ daysOfWeek: string[] } & Record<string, unknown>>
