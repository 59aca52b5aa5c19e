import { describe, expect, it } from 'vitest'
import { newestOf, urnOf } from './images'
import { rangesOf } from './NetworkForm'
import { ordered } from './Rules'

describe('images', () => {
  it('are newest by their numbers', () => {
    expect(newestOf(['1.9.0', '1.10.0', '1.2.30'])).toBe('1.10.0')
    expect(newestOf([])).toBeUndefined()
    expect(urnOf({ publisher: 'Deskyard', offer: 'debian-12', sku: 'desktop', version: '1.0.0', latest: true })).toBe('Deskyard:debian-12:desktop:1.0.0')
  })
})

describe('networks', () => {
  it('take ranges as people type them', () => {
    expect(rangesOf('10.0.0.0/8, 192.168.0.0/16\n172.16.0.0/12 ')).toEqual(['10.0.0.0/8', '192.168.0.0/16', '172.16.0.0/12'])
  })
  it('show rules in the order in which they are tried', () => {
    const rule = (direction: string, priority: number) => ({ name: direction + priority, properties: { direction, priority, access: 'Allow', protocol: '*' } })
    expect(ordered([rule('Outbound', 1), rule('Inbound', 65000), rule('Inbound', 100)]).map((r) => r.name)).toEqual(['Inbound100', 'Inbound65000', 'Outbound1'])
  })
})
