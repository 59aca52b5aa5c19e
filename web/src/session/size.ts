import type { Prefs } from '../prefs'

export interface Size {
  width: number
  height: number
}

// Bounds of a desktop's size: those of the Display Control channel (MS-RDPEDISP 2.2.2.2.1).
const least = 200
const most = 8192

/**
 * The desktop's size for a box on the page, in pixels. The width is a multiple of four:
 * hosts round an odd one, and then the picture would be stretched.
 */
export function desktopSize(box: Size, ratio: number, picture: Prefs['picture']): Size {
  const factor = picture === 'sharp' ? ratio : picture === 'economy' ? 0.75 : 1
  const bound = (n: number, step: number) => Math.min(most, Math.max(least, Math.floor((n * factor) / step) * step))
  return { width: bound(box.width, 4), height: bound(box.height, 2) }
}

export const sameSize = (a: Size, b: Size): boolean => a.width === b.width && a.height === b.height
