// How the pages look: each is drawn light and dark, wide and narrow, and no rule of axe
// is broken on any.
import assert from 'node:assert/strict'
import { violations } from '../browser/story.mjs'
import { base, button, connected, eachLook, giveName, openTerminal, page, pictureIfThere, say, shot, tell, until, want } from './stage.mjs'

const found = []

/** Waits until the desktop has the size of its box. */
async function followed() {
  const box = await page.getByTestId('screen').filter({ visible: true }).boundingBox()
  await until('a desktop of the window’s size', async () => {
    const p = await pictureIfThere()
    return p && Math.abs(p.width - box.width) < 4 && Math.abs(p.height - box.height) < 4
  })
  await connected()
}

const look = (name, before) =>
  eachLook(async (at, width) => {
    await before?.()
    for (const v of await violations(name, page)) found.push(`${name}-${at}: ${v}`)
    await shot(`${name}-${at}`)
    const wide = await page.evaluate(() => document.documentElement.scrollWidth)
    assert.ok(wide <= width, `${name} is ${wide} wide in a window of ${width}`)
  })

await tell(async () => {
  await page.goto(base + '/')
  await page.getByLabel(/password/i).waitFor()
  await look('sign-in')
  await giveName()
  await button(/^Open Office desktop/).waitFor()
  await look('tiles')
  await button('More for Office desktop').click()
  await look('tile-menu')
  await page.keyboard.press('Escape')
  await openTerminal()
  await look('session', followed)
  await button('Keyboard').click()
  await page.getByText('Layout of your keys').waitFor()
  await look('session-keyboard', followed)
  await page.keyboard.press('Escape')
  await button('Disconnect').click()
  await page.getByText('Your programs go on running').waitFor()
  await look('closed')
  await want('nothing is assigned')
  await page.getByRole('tab', { name: 'Desktops' }).click()
  await button(/^Open Studio/).click()
  await page.getByText('Studio could not be opened').waitFor()
  await look('error')
  await page.goto(base + '/security')
  await page.getByText('Add an authenticator application').waitFor()
  await look('security')
  say('all pages were looked at')
  assert.deepEqual(found, [], 'axe found what is wrong')
}, /status of (503|403)|WebSocket|ERR_/)
