import { describe, expect, it } from 'vitest'
import { desktopSize } from './size'

describe('desktopSize', () => {
  it('is a multiple of four wide and of two high', () => {
    expect(desktopSize({ width: 1281, height: 721 }, 1, 'standard')).toEqual({ width: 1280, height: 720 })
    expect(desktopSize({ width: 1279, height: 720 }, 1, 'standard')).toEqual({ width: 1276, height: 720 })
  })
  it('counts the pixels of the screen for a sharp picture only', () => {
    expect(desktopSize({ width: 800, height: 600 }, 2, 'sharp')).toEqual({ width: 1600, height: 1200 })
    expect(desktopSize({ width: 800, height: 600 }, 2, 'standard')).toEqual({ width: 800, height: 600 })
    expect(desktopSize({ width: 800, height: 600 }, 2, 'economy')).toEqual({ width: 600, height: 450 })
  })
  it('keeps within what hosts take', () => {
    expect(desktopSize({ width: 10, height: 10 }, 1, 'standard')).toEqual({ width: 200, height: 200 })
    expect(desktopSize({ width: 9000, height: 9000 }, 2, 'sharp')).toEqual({ width: 8192, height: 8192 })
  })
})
