import { describe, expect, it } from 'vitest'
import { greatest, needsOf, type Summary } from './summary'

const well: Summary = {
  asOf: '', hostPools: 1, sessionHosts: { total: 3, drained: 0, byStatus: { Available: 2, Shutdown: 1 }, failingChecks: {}, updatesWaiting: 0 }, userSessions: {},
  registrationKeys: { valid: 1, expiringWithinADay: 0, expiringWithinAWeek: 1, expiredWithinADay: 0 }, deployments: { running: 1, failedWithinADay: 0 }, perHostPool: [],
}

describe('the overview', () => {
  it('needs nobody while all is well, or hidden', () => {
    expect(needsOf(well)).toEqual([])
    expect(needsOf({ ...well, sessionHosts: null, userSessions: null, registrationKeys: null, deployments: null })).toEqual([])
  })
  it('names what is wrong, the worst first', () => {
    const wrong = { ...well, sessionHosts: { ...well.sessionHosts!, byStatus: { Available: 1, Unavailable: 2 }, updatesWaiting: 1 }, deployments: { running: 0, failedWithinADay: 1 } }
    expect(needsOf(wrong).map((n) => n.tone)).toEqual(['bad', 'bad', 'warning'])
    expect(needsOf(wrong)[0]?.text).toContain('2 session hosts are')
  })
  it('orders counts', () => {
    expect(greatest({ a: 1, b: 3, c: 0, d: 3 })).toEqual([['b', 3], ['d', 3], ['a', 1]])
  })
})
