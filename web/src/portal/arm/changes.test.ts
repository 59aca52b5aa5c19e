import { describe, expect, it } from 'vitest'
import { concerns } from './changes'

const pool = '/subscriptions/s/resourceGroups/g/providers/Microsoft.DesktopVirtualization/hostPools/p'
const host = { id: pool + '/sessionHosts/h', type: 'Microsoft.DesktopVirtualization/hostpools/sessionhosts' }

describe('a change concerns', () => {
  it('the thing itself and its parts', () => {
    expect(concerns(host.id.toUpperCase(), host)).toBe(true)
    expect(concerns(host.id + '/userSessions?x=1', host)).toBe(true)
    expect(concerns(host.id + '2', host)).toBe(false)
  })
  it('the lists that hold it', () => {
    expect(concerns(pool + '/sessionHosts?$top=1000', host)).toBe(true)
    expect(concerns(pool + '2/sessionHosts', host)).toBe(false)
    const made = { id: pool, type: 'Microsoft.DesktopVirtualization/hostPools' }
    expect(concerns('/subscriptions/s/providers/Microsoft.DesktopVirtualization/hostPools', made)).toBe(true)
    expect(concerns('/subscriptions/t/providers/Microsoft.DesktopVirtualization/hostPools', made)).toBe(false)
    expect(concerns('/subscriptions/s/providers/Microsoft.DesktopVirtualization/workspaces', made)).toBe(false)
  })
})
