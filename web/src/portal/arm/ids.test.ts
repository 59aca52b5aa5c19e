import { describe, expect, it } from 'vitest'
import { parseID } from './ids'
import { allows, covers } from './permissions'
import { versionFor } from './versions'
import { ArmError, errorOf } from './errors'

const pool = '/subscriptions/s1/resourceGroups/g1/providers/Microsoft.DesktopVirtualization/hostPools/hp1'

describe('parseID', () => {
  it('reads resources and those that they hold', () => {
    expect(parseID(pool)).toMatchObject({ subscription: 's1', group: 'g1', type: 'Microsoft.DesktopVirtualization/hostPools', name: 'hp1', parent: '/subscriptions/s1/resourceGroups/g1' })
    expect(parseID(pool + '/sessionHosts/a.b')).toMatchObject({ type: 'Microsoft.DesktopVirtualization/hostPools/sessionHosts', name: 'a.b', parent: pool })
  })
  it('reads groups, subscriptions and what lies on another resource', () => {
    expect(parseID('/subscriptions/s1/resourceGroups/g1')).toMatchObject({ group: 'g1', name: 'g1', type: 'Microsoft.Resources/resourceGroups', parent: '/subscriptions/s1' })
    expect(parseID('/subscriptions/s1')).toMatchObject({ subscription: 's1', group: '', name: 's1' })
    expect(parseID(pool + '/providers/Microsoft.Authorization/roleAssignments/r1')).toMatchObject({ type: 'Microsoft.Authorization/roleAssignments', name: 'r1', parent: pool })
    expect(parseID('/providers/Microsoft.Authorization/roleDefinitions/d1')).toMatchObject({ subscription: '', name: 'd1' })
  })
  it('survives what is no id', () => {
    expect(parseID('')).toMatchObject({ name: '', subscription: '' })
    expect(parseID('/x/y')).toMatchObject({ subscription: '' })
  })
})

describe('permissions', () => {
  it('match by wildcard, in any case, and not by what is excepted', () => {
    expect(covers('*', 'A.B/c/read')).toBe(true)
    expect(covers('Microsoft.DesktopVirtualization/*/read', 'microsoft.desktopvirtualization/hostPools/sessionHosts/read')).toBe(true)
    expect(covers('Microsoft.DesktopVirtualization/hostPools/read', 'Microsoft.DesktopVirtualization/hostPools/readX')).toBe(false)
    const contributor = [{ actions: ['*'], notActions: ['Microsoft.Authorization/*/Write'], dataActions: [], notDataActions: [] }]
    expect(allows(contributor, 'Microsoft.DesktopVirtualization/hostPools/write')).toBe(true)
    expect(allows(contributor, 'Microsoft.Authorization/roleAssignments/write')).toBe(false)
    expect(allows([], 'a/read')).toBe(false)
  })
})

describe('versions', () => {
  it('go by the last namespace of a path', () => {
    expect(versionFor(pool)).toBe('2024-04-03')
    expect(versionFor(pool + '/providers/Microsoft.Authorization/roleAssignments?x=1')).toBe('2022-04-01')
    expect(versionFor('/subscriptions')).toBe('2022-09-01')
  })
})

describe('errors', () => {
  it('say what permission is missing, and list the findings of fields', () => {
    const refused = errorOf(403, { error: { code: 'AuthorizationFailed', message: `The client 'a' with object id 'b' does not have authorization to perform action 'X/y/write' over scope '${pool}' or the scope is invalid.` } }, new Headers({ 'x-ms-correlation-request-id': 'c1' }))
    expect(refused.missing).toEqual({ action: 'X/y/write', scope: pool })
    expect(refused.more.correlationID).toBe('c1')
    const invalid = errorOf(400, { error: { code: 'Invalid', message: 'two', details: [{ code: 'A', message: 'one', target: 'properties.maxSessionLimit' }] } }, new Headers())
    expect(invalid.findings.map((f) => f.message)).toEqual(['two', 'one'])
    expect(errorOf(502, null, new Headers({ 'Retry-After': '7' }))).toMatchObject({ status: 502, more: { retryAfter: 7 } })
    expect(new ArmError(0, 'x', 'y').lost).toBe(true)
  })
})
