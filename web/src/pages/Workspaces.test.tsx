import { describe, expect, it } from 'vitest'
import type { Workspace } from '../api/types'
import { matching } from './Workspaces'

const resource = (friendlyName: string, hostPool: string) => ({ id: friendlyName, name: friendlyName, friendlyName, type: 'Desktop' as const, inBrowser: true, hostPool, rdp: '', icon: '' })
const all: Workspace[] = [
  { id: '1', name: 'w1', friendlyName: 'Work', resources: [resource('Office', 'pool-a'), resource('Studio', 'pool-b')] },
  { id: '2', name: 'w2', friendlyName: 'Labs', resources: [resource('Bench', 'pool-a')] },
]
const names = (query: string) => matching(all, query).flatMap((w) => w.resources.map((r) => r.name))

describe('matching', () => {
  it('finds every word, in any field, in any case', () => {
    expect(names('')).toEqual(['Office', 'Studio', 'Bench'])
    expect(names('POOL-A')).toEqual(['Office', 'Bench'])
    expect(names('pool-a labs')).toEqual(['Bench'])
    expect(names('nothing')).toEqual([])
  })
})
