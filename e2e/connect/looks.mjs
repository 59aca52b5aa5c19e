// How the pages look: each is drawn light and dark, wide and narrow, and no rule of axe
// is broken on any.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { base, button, connected, eachLook, giveName, openTerminal, page, pictureIfThere, require, say, shot, tell, until, want } from './stage.mjs'

const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')
const found = []

/**
 * What axe says of the page, in its own world: the page's policy lets no script in. Left out
 * are the component library's elements that hand the focus on as soon as they get it.
 */
async function check(name) {
  const cdp = await page.context().newCDPSession(page)
  const { frameTree } = await cdp.send('Page.getFrameTree')
  const { executionContextId: contextId } = await cdp.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id })
  await cdp.send('Runtime.evaluate', { contextId, expression: axe })
  const { result, exceptionDetails } = await cdp.send('Runtime.evaluate', {
    contextId, awaitPromise: true, returnByValue: true, expression: 'axe.run({ exclude: ["[data-tabster-dummy]"] }, { resultTypes: ["violations"] })',
  })
  await cdp.detach()
  assert.ok(result.value, `axe did not run on ${name}: ${exceptionDetails?.exception?.description}`)
  assert.ok(result.value.passes.length > 5, `axe found next to nothing to check on ${name}`)
  for (const v of result.value.violations) found.push(`${name}: ${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160) + ' ' + (n.any[0]?.message ?? n.all[0]?.message ?? '')).join('; ')}`)
}

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
    await check(`${name}-${at}`)
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
