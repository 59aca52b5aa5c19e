import { describe, expect, it } from 'vitest'
import type { Schedule } from '../../arm/types-scaling'
import { clockOf, clockText, fresh, spansOf } from './phases'

const schedule = (daysOfWeek: string[]) => ({ id: 'x', name: 'x', type: '', properties: { ...fresh('Pooled'), daysOfWeek } }) as Schedule

describe('the week of a plan', () => {
  it('goes from phase to phase, and past midnight', () => {
    const all = [schedule(['Monday', 'Tuesday'])]
    expect(spansOf('Monday', all).map((s) => [s.phase, s.from, s.to])).toEqual([['rampUp', 420, 540], ['peak', 540, 1080], ['rampDown', 1080, 1200], ['offPeak', 1200, 1440]])
    expect(spansOf('Tuesday', all)[0]).toEqual({ phase: 'offPeak', from: 0, to: 420 })
    expect(spansOf('Wednesday', all)).toEqual([{ phase: 'offPeak', from: 0, to: 1440 }])
    expect(spansOf('Thursday', all)).toEqual([])
  })
  it('reads and writes clock times', () => {
    expect(clockText({ hour: 7, minute: 5 })).toBe('07:05')
    expect(clockOf('18:30')).toEqual({ hour: 18, minute: 30 })
    expect(clockOf('')).toBeNull()
  })
  it('begins with settings of the plan’s kind', () => {
    expect(fresh('Personal')['rampUpAutoStartHosts']).toBe('None')
    expect(fresh('Pooled')['rampDownWaitTimeMinutes']).toBe(30)
  })
})
