import { describe, expect, it } from 'vitest'
import type { SessionHost } from '../../arm/types-hosts'
import { failing } from './HostList'
import { merged } from './useHosts'

const host = (id: string, status = 'Available') => ({ id, name: id, type: '', properties: { status } }) as unknown as SessionHost

describe('session hosts', () => {
  it('are replaced, removed and added by what has changed', () => {
    const now = new Map<string, SessionHost | null>([['/b', host('/B', 'Shutdown')], ['/c', null], ['/d', host('/d')]])
    expect(merged([host('/a'), host('/B'), host('/C')], now).map((h) => [h.id, h.properties.status])).toEqual([['/a', 'Available'], ['/B', 'Shutdown'], ['/d', 'Available']])
  })
  it('tell which check fails', () => {
    const h = host('/a')
    h.properties.sessionHostHealthCheckResults = [
      { healthCheckName: 'Good', healthCheckResult: 'HealthCheckSucceeded', additionalFailureDetails: null },
      { healthCheckName: 'Bad', healthCheckResult: 'HealthCheckFailed', additionalFailureDetails: { message: 'no', errorCode: 1, lastHealthCheckDateTime: null } },
    ]
    expect(failing(h)).toBe('Bad: no')
    expect(failing(host('/b'))).toBe('')
  })
})
