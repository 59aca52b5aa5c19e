// The phases of a schedule's day and what can be set for each, by the kind of plan.
import type { ClockTime, Schedule } from '../../arm/types-scaling'

export const days = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']

export const phases = ['rampUp', 'peak', 'rampDown', 'offPeak'] as const
export type Phase = (typeof phases)[number]

/** How a setting is asked for. */
export type Setting = { name: string; kind: 'number'; min: number; max: number; start: number; unit?: boolean } | { name: string; kind: 'choice'; of: readonly string[]; start: string } | { name: string; kind: 'switch'; start: boolean } | { name: string; kind: 'text'; start: string }

const balancing: Setting = { name: 'LoadBalancingAlgorithm', kind: 'choice', of: ['BreadthFirst', 'DepthFirst'], start: 'DepthFirst' }
const least = (start: number): Setting => ({ name: 'MinimumHostsPct', kind: 'number', min: 0, max: 100, start })
const threshold = (start: number): Setting => ({ name: 'CapacityThresholdPct', kind: 'number', min: 1, max: 100, start })

const pooled: Record<Phase, Setting[]> = {
  rampUp: [{ ...balancing, start: 'BreadthFirst' } as Setting, least(20), threshold(60)],
  peak: [balancing],
  rampDown: [
    balancing, least(10), threshold(90),
    { name: 'ForceLogoffUsers', kind: 'switch', start: false },
    { name: 'WaitTimeMinutes', kind: 'number', min: 0, max: 1440, start: 30, unit: true },
    { name: 'NotificationMessage', kind: 'text', start: '' },
    { name: 'StopHostsWhen', kind: 'choice', of: ['ZeroSessions', 'ZeroActiveSessions'], start: 'ZeroSessions' },
  ],
  offPeak: [balancing],
}

const personalPhase: Setting[] = [
  { name: 'StartVMOnConnect', kind: 'choice', of: ['Enable', 'Disable'], start: 'Enable' },
  { name: 'ActionOnDisconnect', kind: 'choice', of: ['None', 'Deallocate', 'Hibernate'], start: 'None' },
  { name: 'MinutesToWaitOnDisconnect', kind: 'number', min: 0, max: 360, start: 0, unit: true },
  { name: 'ActionOnLogoff', kind: 'choice', of: ['None', 'Deallocate', 'Hibernate'], start: 'None' },
  { name: 'MinutesToWaitOnLogoff', kind: 'number', min: 0, max: 360, start: 0, unit: true },
]

const personal: Record<Phase, Setting[]> = {
  rampUp: [{ name: 'AutoStartHosts', kind: 'choice', of: ['None', 'WithAssignedUser', 'All'], start: 'None' }, ...personalPhase],
  peak: personalPhase, rampDown: personalPhase, offPeak: personalPhase,
}

/** What can be set for each phase of a plan for pools of a type. */
export const settingsOf = (poolType: string) => (poolType === 'Personal' ? personal : pooled)

/** The collection of a plan's schedules. */
export const schedulesPath = (plan: string, poolType: string) => `${plan}/${poolType === 'Personal' ? 'personalSchedules' : 'pooledSchedules'}`

const startTimes: Record<Phase, ClockTime> = { rampUp: { hour: 7, minute: 0 }, peak: { hour: 9, minute: 0 }, rampDown: { hour: 18, minute: 0 }, offPeak: { hour: 20, minute: 0 } }

/** The settings that a new schedule begins with. */
export function fresh(poolType: string): Schedule['properties'] {
  const properties: Schedule['properties'] = { daysOfWeek: days.slice(0, 5) }
  for (const phase of phases) {
    properties[`${phase}StartTime`] = startTimes[phase]
    for (const s of settingsOf(poolType)[phase]) properties[phase + s.name] = s.start
  }
  return properties
}

/** 07:30 for a clock time, as a time field has it. */
export const clockText = (t: ClockTime | null | undefined) => (t ? `${String(t.hour).padStart(2, '0')}:${String(t.minute).padStart(2, '0')}` : '')

/** The clock time of a time field. */
export function clockOf(text: string): ClockTime | null {
  const found = /^(\d{1,2}):(\d{2})/.exec(text)
  return found ? { hour: Number(found[1]), minute: Number(found[2]) } : null
}

/** A part of a day in which a phase holds, in minutes since midnight. */
export interface Span {
  phase: Phase
  from: number
  to: number
}

/** The phases of one day by the schedules of a plan. The last one goes on past midnight until the next day's first. */
export function spansOf(day: string, schedules: readonly Schedule[]): Span[] {
  const of = (name: string) => schedules.find((s) => s.properties.daysOfWeek.includes(name))
  const today = of(day)
  const before = of(days[(days.indexOf(day) + 6) % 7] ?? '')
  const starts = today ? startsOf(today) : []
  const spans: Span[] = []
  const first = starts[0]?.at ?? 1440
  if (before && first > 0) spans.push({ phase: 'offPeak', from: 0, to: first })
  starts.forEach((s, i) => spans.push({ phase: s.phase, from: s.at, to: starts[i + 1]?.at ?? 1440 }))
  return spans
}

function startsOf(s: Schedule): { phase: Phase; at: number }[] {
  return phases
    .flatMap((phase) => {
      const t = s.properties[`${phase}StartTime`] as ClockTime | null | undefined
      return t ? [{ phase, at: t.hour * 60 + t.minute }] : []
    })
    .sort((a, b) => a.at - b.at)
}
