import { describe, expect, it } from 'vitest'
import { bounds, fieldsOf, linuxCommand, momentOf, within } from './keys'
import { bodyOf, freshPool } from './PoolFields'
import { format, others, parse, withProperty } from './rdp'

describe('registration keys', () => {
  it('expire within the bounds', () => {
    expect([bounds.least - 1, bounds.least, bounds.most, bounds.most + 1].map((ms) => within(1000 + ms, 1000))).toEqual([false, true, true, false])
    expect(within(NaN, 0)).toBe(false)
  })
  it('keep their moment from zone to zone', () => {
    const at = Date.UTC(2026, 10, 23, 22, 45)
    for (const utc of [true, false]) expect(momentOf(fieldsOf(at, utc).date, fieldsOf(at, utc).time, utc)).toBe(at)
    expect(fieldsOf(at, true)).toEqual({ date: '2026-11-23', time: '22:45' })
  })
  it('stand in the command', () => expect(linuxCommand('eyJ')).toContain("REGISTRATIONTOKEN='eyJ' dpkg -i"))
})

describe('RDP properties', () => {
  const text = 'audiomode:i:0;drivestoredirect:s:*;own thing:s:a:b;'
  it('are read and written alike', () => {
    expect(format(parse(text).properties)).toBe(text)
    expect(parse('audiomode:i:x;bare;z:q:1').bad).toEqual(['audiomode:i:x', 'bare', 'z:q:1'])
  })
  it('change one by one, in their place', () => {
    expect(withProperty(text, 'audiomode', 'i', '2')).toBe('audiomode:i:2;drivestoredirect:s:*;own thing:s:a:b;')
    expect(withProperty(text, 'audiomode', 'i', undefined)).toBe('drivestoredirect:s:*;own thing:s:a:b;')
    expect(withProperty('', 'use multimon', 'i', '1')).toBe('use multimon:i:1;')
  })
  it('keep those that the editor does not know', () => expect(others(text)).toEqual([{ name: 'own thing', type: 's', value: 'a:b' }]))
})

describe('a pool', () => {
  it('sends what belongs to its type', () => {
    expect(bodyOf(freshPool, 'Personal')).not.toHaveProperty('maxSessionLimit')
    expect(bodyOf(freshPool, 'Pooled')).not.toHaveProperty('personalDesktopAssignmentType')
    expect(bodyOf({ friendlyName: 'x' }, 'Pooled')).toEqual({ friendlyName: 'x' })
  })
})
