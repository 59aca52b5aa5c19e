import { describe, expect, it } from 'vitest'
import { isLayout, layoutNames, layoutOf, withLayout } from './layouts'

describe('layoutOf', () => {
  it('takes the first language that has a layout, the exact one before its family', () => {
    expect(layoutOf(['de-CH', 'en'])).toBe('0807')
    expect(layoutOf(['de-AT'])).toBe('0407')
    expect(layoutOf(['en-AU'])).toBe('0409')
    expect(layoutOf(['eo', 'fr-FR'])).toBe('040c')
    expect(layoutOf(['eo'])).toBe('')
  })
})

describe('withLayout', () => {
  it('tells the gateway what was chosen, or what the languages say', () => {
    expect(withLayout('wss://gw.example/gateway/v1/rdp', '0407', ['fr'])).toBe('wss://gw.example/gateway/v1/rdp?keyboard=0407')
    expect(withLayout('wss://gw.example/gateway/v1/rdp', 'auto', ['fr'])).toBe('wss://gw.example/gateway/v1/rdp?keyboard=040c')
    expect(withLayout('wss://gw.example/gateway/v1/rdp', 'auto', ['eo'])).toBe('wss://gw.example/gateway/v1/rdp')
  })
})

it('knows each layout once, by a name of its own', () => {
  expect(new Set(layoutNames.map(([n]) => n)).size).toBe(layoutNames.length)
  expect(new Set(layoutNames.map(([, name]) => name)).size).toBe(layoutNames.length)
  expect(layoutNames.every(([n]) => isLayout(n))).toBe(true)
  expect(isLayout('0000')).toBe(false)
})
