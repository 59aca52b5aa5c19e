// What is seen of a desktop in the web client.

export const canvas = (page) => page.locator('[role=tabpanel]:visible iron-remote-desktop canvas')

/**
 * What the canvas shows, as one number; how many colours it has; and its size. The lowest
 * rows can be left out: a panel with a clock.
 */
export const picture = (page, leftOut = 0) => canvas(page).evaluate((c, leftOut) => {
  const copy = document.createElement('canvas')
  ;[copy.width, copy.height] = [c.width, c.height]
  const to = copy.getContext('2d')
  to.drawImage(c, 0, 0)
  const pixels = new Uint32Array(to.getImageData(0, 0, c.width, Math.max(c.height - leftOut, 1)).data.buffer)
  let sum = 0
  for (const p of pixels) sum = (sum * 31 + p) | 0
  return { sum, colours: new Set(pixels.filter((_, i) => i % 97 === 0)).size, width: c.width, height: c.height }
}, leftOut)

/** The same, or null while a session makes way for its successor: then there is no canvas, or there are two. */
export const pictureIfThere = async (page, leftOut = 0) => ((await canvas(page).count()) === 1 ? picture(page, leftOut).catch(() => null) : null)
