// What every story in a browser stands on: headless Chromium, what is wrong with a page by
// axe, and browser.go, which starts the stories and does what they want of the world
// outside the browser.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const require = createRequire(join(import.meta.dirname, '../../web/package.json'))
const { chromium } = require('playwright-core')

/** What the test says of the service: url, keys (of its certificate), shots (a folder), and what else its stories need. */
export const about = JSON.parse(process.env.ABOUT)
export const base = about.url.replace(/\/$/, '')

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
export const say = (text) => console.log(JSON.stringify({ say: text }))
/** Asks the test for something of the world outside. */
export async function want(text, of = null) {
  console.log(JSON.stringify({ want: text, of }))
  return JSON.parse((await answers.next()).value)
}

/** How long a story waits for what must come, in milliseconds. */
export const patience = 30_000

/** Waits until a probe returns something true, which it returns; most is in milliseconds. */
export async function until(what, probe, most = patience) {
  const end = Date.now() + most
  for (;;) {
    const got = await probe()
    if (got) return got
    if (Date.now() > end) throw new Error('in vain: ' + what)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

export const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--enable-precise-memory-info', '--ignore-certificate-errors-spki-list=' + about.keys],
})

/** Whether an address is the service's, or lies within the browser. */
export const isOurs = (url) => url.startsWith(base + '/') || /^(blob|data):/.test(url)

/** Fills in the sign-in page, which is shown. */
export async function giveName(who, page) {
  await page.getByLabel(/user ?name|e-?mail|account/i).first().fill(who.user)
  const password = page.getByLabel(/password/i)
  await password.fill(who.password)
  await password.press('Enter')
}

const sizes = [[1280, 800], [390, 844]]

/** Does something in each appearance and width, by name; then all is light and wide again. */
export async function eachLook(page, act) {
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme })
    for (const [width, height] of sizes) {
      await page.setViewportSize({ width, height })
      await page.waitForTimeout(200) // the sizes' and colours' own change
      await act(`${scheme}-${width}`, width)
    }
  }
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize({ width: 1280, height: 800 })
}

const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')

/**
 * What axe finds wrong with a page, a line for each rule. Axe runs in a world of its own:
 * the page's policy lets no script in. Left out are the component library's elements that
 * hand the focus on as soon as they get it.
 */
export async function violations(name, page) {
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
  return result.value.violations.map((v) => `${v.id}: ` + v.nodes.slice(0, 4).map((n) => n.html.slice(0, 200) + ' ' + (n.any[0]?.message ?? n.all[0]?.message ?? '')).join('; '))
}

/**
 * Runs a story and ends the process: badly if it threw, or if the browser complained of
 * anything but what allowed names. failed is what is done then, to see what was there.
 */
export async function run(story, complaints, allowed, failed) {
  try {
    await story()
    assert.deepEqual(complaints.filter((c) => !allowed.test(c)), [], 'the browser complained')
  } catch (error) {
    await failed().catch(() => undefined)
    say('the browser said: ' + complaints.slice(-10).join(' | '))
    console.error(error)
    process.exitCode = 1
  } finally {
    await browser.close()
    process.exit()
  }
}
