import { describe, expect, it } from 'vitest'
import { isoDuration } from './duration'
import { operationInWords } from './operations'
import { perStep, toneOfConnection } from './Connections'
import { ranked } from '../search/Search'

const row = (startTime: string, state: string) => ({ id: startTime, name: '', type: '', properties: { state, startTime } }) as unknown as Parameters<typeof perStep>[0][number]

describe('durations', () => {
  it('are read from ISO 8601', () => {
    expect(isoDuration('PT1H2M3.5S')).toEqual({ seconds: 3723.5, text: '1 h 2 min' })
    expect(isoDuration('P1DT1S').seconds).toBe(86_401)
    expect(isoDuration('soon')).toEqual({ seconds: 0, text: '' })
  })
})

describe('connections', () => {
  it('are counted in steps of time, apart where they failed', () => {
    const rows = [row('1970-01-01T00:00:00Z', 'Failed'), row('1970-01-01T00:00:09Z', 'Connected'), row('1970-01-01T00:00:10Z', 'Completed')]
    const { good, failed } = perStep(rows, 0, 10_000, 2)
    expect(good).toEqual([[2500, 0], [7500, 2]])
    expect(failed).toEqual([[2500, 1], [7500, 0]])
  })
  it('that ended badly are told apart from those that ended', () => {
    const c = (state: string, failure?: object) => toneOfConnection({ state, failure } as unknown as Parameters<typeof toneOfConnection>[0])
    expect([c('Connected'), c('Completed'), c('Completed', {}), c('Failed', {}), c('Started')]).toEqual(['good', 'off', 'warning', 'bad', 'busy'])
  })
})

describe('search', () => {
  it('puts the very name first, then what begins with it', () => {
    const found = (name: string) => ({ key: name, name, type: 'Host pool', where: 'rg1', to: '' })
    expect(ranked([found('my-pool'), found('pool-2'), found('pool')], 'pool').map((f) => f.name)).toEqual(['pool', 'pool-2', 'my-pool'])
    expect(ranked([found('a')], 'rg1 host').length).toBe(1)
    expect(ranked([found('a')], 'rg2')).toEqual([])
  })
})

describe('operations', () => {
  it.each([
    ['Microsoft.DesktopVirtualization/hostPools/write', 'Create or update: host pool'],
    ['Microsoft.DesktopVirtualization/hostPools/retrieveRegistrationToken/action', 'Retrieve registration token: host pool'],
    ['Microsoft.DesktopVirtualization/hostpools/sessionhosts/usersessions/delete', 'Delete: user session'],
    ['Microsoft.Resources/deployments/write', 'Create or update: deployment'],
    ['Microsoft.Network/networkSecurityGroups/write', 'Create or update: network security group'],
    ['Microsoft.DesktopVirtualization/hostpools/sessionhosts/register', 'Register: session host'],
    ['somethingElse', 'somethingElse'],
    ['Microsoft.X/action', 'Microsoft.X/action'],
  ])('%s is said in words', (operation, said) => expect(operationInWords(operation)).toBe(said))
})
