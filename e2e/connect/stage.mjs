// What every story of the web client stands on: headless Chromium with one page, what is
// seen on the desktop's canvas, and browser_test.go, which starts the stories and does what
// they want of the world outside the browser.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export const require = createRequire(join(import.meta.dirname, '../../web/package.json'))
export const { URL: base, LOGIN, PASSWORD, HOST_HOME, SHOTS } = process.env
export const patience = 30_000
const { chromium } = require('playwright-core')

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
export const say = (text) => console.log(JSON.stringify({ say: text }))
export async function want(text) {
  console.log(JSON.stringify({ want: text }))
  return JSON.parse((await answers.next()).value)
}

export async function until(what, probe, most = patience) {
  const end = Date.now() + most
  for (;;) {
    const got = await probe()
    if (got) return got
    if (Date.now() > end) throw new Error('in vain: ' + what)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--ignore-certificate-errors-spki-list=' + process.env.KEY] })
export const context = await browser.newContext({
  viewport: { width: 1280, height: 800 }, permissions: ['clipboard-read', 'clipboard-write'], acceptDownloads: true,
})
export const page = await context.newPage()
export const complaints = []
page.on('console', (m) => {
  if (m.text().startsWith('deskyard:')) say(m.text())
  // IronRDP looks at the clipboard by the clock: what changes between its two calls it reads at its next look.
  if (/Clipboard monitoring error.*Clipboard data has changed/.test(m.text())) return
  if (m.type() === 'error' || /Content.Security.Policy/i.test(m.text())) complaints.push(m.text())
})
page.on('pageerror', (e) => complaints.push(`${e.name}: ${e.message} ${e.stack}`))
// The RDP client's errors are objects that tell their story only when asked.
await page.addInitScript(() => addEventListener('unhandledrejection', (e) => e.reason?.backtrace && console.error('rejected: ' + e.reason.backtrace())))
page.on('request', (r) => {
  if (!r.url().startsWith(base) && !/^(blob|data):/.test(r.url())) complaints.push('a request to ' + r.url())
})
export const shot = (name) => page.screenshot({ path: join(SHOTS, name + '.png') })
export const button = (name) => page.getByRole('button', { name })
export const canvas = () => page.locator('[role=tabpanel]:visible iron-remote-desktop canvas')

/** What the canvas shows, as one number; and whether it is one colour. */
export const picture = () => canvas().evaluate((c) => {
  const copy = document.createElement('canvas')
  ;[copy.width, copy.height] = [c.width, c.height]
  const to = copy.getContext('2d')
  to.drawImage(c, 0, 0)
  const pixels = new Uint32Array(to.getImageData(0, 0, c.width, c.height).data.buffer)
  let sum = 0
  for (const p of pixels) sum = (sum * 31 + p) | 0
  return { sum, colours: new Set(pixels.filter((_, i) => i % 97 === 0)).size, width: c.width, height: c.height }
})

/** The same, or null while a session makes way for its successor: then there is no canvas, or there are two. */
export const pictureIfThere = async () => ((await canvas().count()) === 1 ? picture().catch(() => null) : null)

export const connected = () => until('a desktop on the canvas', async () => (await canvas().count()) === 1 && (await page.getByTestId('screen').filter({ visible: true }).count()) === 1 &&
  (await page.getByText(/is connected\./).count()) > 0 && ((await pictureIfThere())?.colours ?? 0) > 1)

/** Waits until the picture has not changed for a second. */
export const still = async () => {
  let last = { sum: NaN }
  await until('a picture that stands still', async () => {
    const [before, now] = [last, await pictureIfThere()]
    last = now ?? { sum: NaN }
    await page.waitForTimeout(1000)
    return before.sum === now?.sum
  })
}

/** Types a line as a keyboard would, with Shift where it takes one. */
export async function type(line) {
  const shifted = '~!@#$%^&*()_+{}|:"<>?'
  const plain = "`1234567890-=[]\\;',./"
  for (const c of line) {
    const at = shifted.indexOf(c)
    const upper = /[A-Z]/.test(c)
    if (at >= 0 || upper) await page.keyboard.down('Shift')
    await page.keyboard.press(at >= 0 ? plain[at] : c.toLowerCase(), { delay: 5 })
    if (at >= 0 || upper) await page.keyboard.up('Shift')
  }
  await page.keyboard.press('Enter', { delay: 5 })
}

/** What a command typed into the desktop's terminal prints, by way of a file. */
export async function shell(command) {
  const file = join(HOST_HOME, 'out-' + Math.random().toString(36).slice(2))
  await canvas().focus()
  await type(`${command} > ${file}.part; mv ${file}.part ${file}`)
  await until('the output of ' + command, () => existsSync(file)).catch((error) => {
    throw new Error(`${error.message} in ${file}; there are ${readdirSync(HOST_HOME).join(' ')}`)
  })
  return readFileSync(file, 'utf8')
}

/** Fills in the sign-in page, which is shown. */
export async function giveName() {
  await page.getByLabel(/user ?name|e-?mail|account/i).first().fill(LOGIN)
  const password = page.getByLabel(/password/i)
  await password.fill(PASSWORD)
  await password.press('Enter')
}

export async function signIn() {
  await page.goto(base + '/')
  await giveName()
  await button(/^Open Office desktop/).waitFor()
}

/** Opens the desktop, and waits until its terminal takes keys. */
export async function openTerminal() {
  await button(/^Open Office desktop/).press('Enter')
  await connected()
  await until('the terminal', () => existsSync(join(HOST_HOME, 'ready')))
  await still()
  const takes = join(HOST_HOME, 'takes-keys')
  await until('a terminal that takes keys', async () => {
    await canvas().click({ position: { x: 200, y: 200 } }) // a window that comes after the click has not got the focus by it
    await type(`: > ${takes}`)
    await page.waitForTimeout(700)
    return existsSync(takes)
  })
  await still()
}

const sizes = [[1280, 800], [390, 844]]

/** Does something in each appearance and width, by name; then all is light and wide again. */
export async function eachLook(act) {
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme })
    for (const [width, height] of sizes) {
      await page.setViewportSize({ width, height })
      await page.waitForTimeout(300)
      await act(`${scheme}-${width}`, width)
    }
  }
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize({ width: 1280, height: 800 })
}

/**
 * Runs a story and ends the process: badly if it threw, or if the browser complained of
 * anything but what allowed names.
 */
export async function tell(story, allowed = /status of 503|WebSocket|ERR_/) {
  try {
    await story()
    assert.deepEqual(complaints.filter((c) => !allowed.test(c)), [], 'the browser complained')
  } catch (error) {
    await shot('failed').catch(() => undefined)
    say('the browser said: ' + complaints.slice(-10).join(' | '))
    console.error(error)
    process.exitCode = 1
  } finally {
    await browser.close()
    process.exit()
  }
}

