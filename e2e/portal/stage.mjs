// What every story of the portal stands on: headless Chromium, a signed-in page, what the
// browser complains of, and portal_test.go, which starts the stories and does what they
// want of the world outside the browser.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'

export const require = createRequire(join(import.meta.dirname, '../../web/package.json'))
export const about = JSON.parse(process.env.ABOUT)
export const base = about.url.replace(/\/$/, '')
export const patience = 20_000
const { chromium } = require('playwright-core')

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
export const say = (text) => console.log(JSON.stringify({ say: text }))
export async function want(text, of = null) {
  console.log(JSON.stringify({ want: text, of }))
  return JSON.parse((await answers.next()).value)
}
/** A request of the management API, beside the browser. */
export const ask = (method, path, body = null) => want('a request', { method, path, body })

export async function until(what, probe, most = patience) {
  const end = Date.now() + most
  for (;;) {
    const got = await probe()
    if (got) return got
    if (Date.now() > end) throw new Error('in vain: ' + what)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--enable-precise-memory-info', '--ignore-certificate-errors-spki-list=' + about.keys] })
/** What the browser found wrong, of all windows. */
export const complaints = []
let where = ''
/** Says where the story is, for complaints. */
export const at = (place) => (where = place)

/** A window of a person who has signed in nowhere yet. */
export async function person() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, permissions: ['clipboard-read', 'clipboard-write'], acceptDownloads: true, reducedMotion: 'reduce' })
  context.setDefaultTimeout(patience)
  const complain = (text) => complaints.push(`${where}: ${text}`)
  context.on('console', (m) => {
    if (m.type() === 'error' || /Content.Security.Policy/i.test(m.text())) complain(`${m.text()} ${m.location()?.url ?? ''}`)
  })
  context.on('weberror', (e) => complain(e.error().stack ?? String(e.error())))
  context.on('request', (r) => {
    if (!r.url().startsWith(base + '/') && !/^(blob|data):/.test(r.url())) complain('a request to ' + r.url())
  })
  return context
}

export const context = await person()
export const page = await context.newPage()
export const shot = (name, of = page) => of.screenshot({ path: join(about.shots, name + '.png') })
export const button = (name, of = page) => of.getByRole('button', { name, exact: typeof name === 'string' })

/** Fills in the sign-in page, which is shown. */
export async function giveName(who, of = page) {
  await of.getByLabel(/user ?name|e-?mail|account/i).first().fill(who.user)
  const password = of.getByLabel(/password/i)
  await password.fill(who.password)
  await password.press('Enter')
}

export async function signIn(who = about.people.admin, hash = '', of = page) {
  await of.goto(base + '/portal/' + hash)
  await giveName(who, of)
  await of.getByRole('heading', { level: 1 }).waitFor()
}

/** Opens an address within the portal and waits until what it shows is there. */
export async function go(hash, of = page) {
  at(hash)
  await of.evaluate((to) => (location.hash = to), hash)
  await settled(of)
}

/** Waits until the page has its heading, and nothing is being loaded: what shows progress without saying how far. */
export async function settled(of = page) {
  await of.waitForFunction(() => document.querySelector('main h1, main h2') && !document.querySelector('main [role=progressbar]:not([aria-valuenow])'))
  await of.waitForTimeout(400)
}

const sizes = [[1280, 800], [390, 844]]

/** Does something in each appearance and width, by name; then all is light and wide again. */
export async function eachLook(act, of = page) {
  for (const scheme of ['light', 'dark']) {
    await of.emulateMedia({ colorScheme: scheme })
    for (const [width, height] of sizes) {
      await of.setViewportSize({ width, height })
      await of.waitForTimeout(150)
      await act(`${scheme}-${width}`, width)
    }
  }
  await of.emulateMedia({ colorScheme: 'light' })
  await of.setViewportSize({ width: 1280, height: 800 })
}

/**
 * Runs a story and ends the process: badly if it threw, or if the browser complained of
 * anything but what allowed names.
 */
export async function tell(story, allowed = /^$/) {
  try {
    await story()
    assert.deepEqual(complaints.filter((c) => !allowed.test(c)), [], 'the browser complained')
  } catch (error) {
    await shot('failed-' + basename(process.argv[1], '.mjs')).catch(() => undefined)
    say(`at ${where} the browser said: ` + complaints.slice(-10).join(' | '))
    console.error(error)
    process.exitCode = 1
  } finally {
    await browser.close()
    process.exit()
  }
}
