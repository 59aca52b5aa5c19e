// Somebody's desktop in the web client, in a browser window of their own.
import { pictureIfThere } from '../browser/canvas.mjs'
import { base, button, giveName, person, say, shot, until } from './stage.mjs'

/** Colours of a desktop that is drawn, of one pixel in 97; and the height of its panel, whose clock goes on. */
const drawn = 60
const panel = 60

/** Signs somebody in and opens the first desktop; most is how long it may take, in milliseconds. */
export async function openDesk(user, most) {
  const page = await (await person()).newPage()
  await page.goto(base + '/')
  await giveName(user, page)
  const began = Date.now()
  await button(/^Open /, page).first().click()
  await until('a desktop on the canvas', async () => ((await pictureIfThere(page, panel))?.colours ?? 0) > drawn, most)
  say(`the desktop is on the canvas ${((Date.now() - began) / 1000).toFixed(1)} s after the click`)
  await shot('walk-desktop', page)
  const before = await pictureIfThere(page, panel)
  return {
    /** Waits until the desktop shows something else: a message. */
    async told() {
      await until('a message on the desktop', async () => ((now) => now && now.sum !== before.sum)(await pictureIfThere(page, panel)))
      await page.waitForTimeout(1500) // the window is drawn in parts
      await shot('walk-desktop-told', page)
    },
    /** Waits until the session has ended, and the page says so. */
    async ended() {
      await page.getByText(/^The session ended/).waitFor()
      await shot('walk-desktop-ended', page)
      await page.context().close()
    },
  }
}
