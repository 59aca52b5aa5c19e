// A person's work in the web client, in headless Chromium. Started by browser_test.go,
// which does what it wants of the world outside the browser.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const { chromium } = createRequire(join(import.meta.dirname, '../../web/package.json'))('playwright-core')
const { URL: base, LOGIN, PASSWORD, HOST_HOME, SHOTS } = process.env
const patience = 30_000

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const say = (text) => console.log(JSON.stringify({ say: text }))
async function want(text) {
  console.log(JSON.stringify({ want: text }))
  return JSON.parse((await answers.next()).value)
}

async function until(what, probe, most = patience) {
  const end = Date.now() + most
  for (;;) {
    const got = await probe()
    if (got) return got
    if (Date.now() > end) throw new Error('in vain: ' + what)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--ignore-certificate-errors'] })
const context = await browser.newContext({
  ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 }, permissions: ['clipboard-read', 'clipboard-write'], acceptDownloads: true,
})
const page = await context.newPage()
const complaints = []
page.on('console', (m) => {
  if (m.text().startsWith('deskyard:')) say(m.text())
  if (m.type() === 'error' || /Content.Security.Policy/i.test(m.text())) complaints.push(m.text())
})
page.on('pageerror', (e) => complaints.push(`${e.name}: ${e.message} ${e.stack}`))
// The RDP client's errors are objects that tell their story only when asked.
await page.addInitScript(() => addEventListener('unhandledrejection', (e) => e.reason?.backtrace && console.error('rejected: ' + e.reason.backtrace())))
page.on('request', (r) => {
  if (!r.url().startsWith(base) && !/^(blob|data):/.test(r.url())) complaints.push('a request to ' + r.url())
})
const shot = (name) => page.screenshot({ path: join(SHOTS, name + '.png') })
const button = (name) => page.getByRole('button', { name })
const canvas = () => page.locator('[role=tabpanel]:visible iron-remote-desktop canvas')

/** What the canvas shows, as one number; and whether it is one colour. */
const picture = () => canvas().evaluate((c) => {
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
const pictureIfThere = async () => ((await canvas().count()) === 1 ? picture().catch(() => null) : null)

const connected = () => until('a desktop on the canvas', async () => (await canvas().count()) === 1 && (await page.getByTestId('screen').filter({ visible: true }).count()) === 1 &&
  (await page.getByText(/is connected\./).count()) > 0 && ((await pictureIfThere())?.colours ?? 0) > 1)

/** Waits until the picture has not changed for a second. */
const still = async () => {
  let last = { sum: NaN }
  await until('a picture that stands still', async () => {
    const [before, now] = [last, await pictureIfThere()]
    last = now ?? { sum: NaN }
    await page.waitForTimeout(1000)
    return before.sum === now?.sum
  })
}

/** Types a line as a keyboard would, with Shift where it takes one. */
async function type(line) {
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
async function shell(command) {
  const file = join(HOST_HOME, 'out-' + Math.random().toString(36).slice(2))
  await canvas().focus()
  await type(`${command} > ${file}.part; mv ${file}.part ${file}`)
  await until('the output of ' + command, () => existsSync(file)).catch((error) => {
    throw new Error(`${error.message} in ${file}; there are ${readdirSync(HOST_HOME).join(' ')}`)
  })
  return readFileSync(file, 'utf8')
}

async function signIn() {
  await page.goto(base + '/')
  await page.getByLabel(/user ?name|e-?mail|account/i).first().fill(LOGIN)
  const password = page.getByLabel(/password/i)
  await password.fill(PASSWORD)
  await password.press('Enter')
  await button('Open Office desktop, Pool A').waitFor()
}

async function looks() {
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme })
    for (const [width, height] of [[1280, 800], [390, 844]]) {
      await page.setViewportSize({ width, height })
      await page.waitForTimeout(300)
      await shot(`tiles-${scheme}-${width}`)
      const wide = await page.evaluate(() => document.documentElement.scrollWidth)
      assert.ok(wide <= width, `the page is ${wide} wide in a window of ${width}`)
    }
  }
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize({ width: 1280, height: 800 })
}

async function download() {
  await button('More for Office desktop').click()
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name: /\.rdp/ }).click()])
  assert.equal(file.suggestedFilename(), 'Office desktop.rdp')
  const text = readFileSync(await file.path())
  assert.match(text.toString('utf16le') + text.toString('utf8'), /gatewayhostname:s:/)
}

async function work() {
  await button('Open Office desktop, Pool A').press('Enter')
  await connected()
  await until('the terminal', () => existsSync(join(HOST_HOME, 'ready')))
  await still()
  await shot('session-1280')
  const takes = join(HOST_HOME, 'takes-keys')
  await until('a terminal that takes keys', async () => {
    await canvas().click({ position: { x: 200, y: 200 } }) // a window that comes after the click has not got the focus by it
    await type(`: > ${takes}`)
    await page.waitForTimeout(700)
    return existsSync(takes)
  })
  await still()
  const before = await picture()
  assert.equal(await shell('echo Hello from the browser'), 'Hello from the browser\n')
  assert.notEqual((await picture()).sum, before.sum, 'typing changed no pixel')
  await shot('typed-1280')
}

async function clipboard() {
  await page.evaluate(() => navigator.clipboard.writeText('from the client, ümlaut'))
  await page.waitForTimeout(1500)
  assert.equal(await shell('xclip -o -selection clipboard'), 'from the client, ümlaut')
  await shell('printf from-the-host | xclip -i -selection clipboard')
  await until('the clipboard of the host', async () => (await page.evaluate(() => navigator.clipboard.readText())) === 'from-the-host')
}

async function resize() {
  const before = await picture()
  await page.setViewportSize({ width: 1000, height: 700 })
  const after = await until('a picture of the new size', async () => {
    const p = await pictureIfThere()
    return p?.width === 1000 && p.height !== before.height && p.colours > 1 && p
  })
  await connected()
  await page.setViewportSize({ width: 1280, height: 800 })
  await until('a picture of the old size', async () => (await pictureIfThere())?.width === 1280)
  await connected()
  return `${before.width}x${before.height} to ${after.width}x${after.height}`
}

async function loss() {
  const pid = await shell('echo $$')
  const began = Date.now()
  assert.ok((await want('cut the network')) > 0)
  await page.getByText('The connection was lost').waitFor({ timeout: patience })
  await shot('lost-1280')
  await connected()
  const took = Date.now() - began
  assert.equal(await shell('echo $$'), pid, 'another session came back')
  return took
}

async function disconnect() {
  const pid = await shell('echo $$')
  await page.keyboard.press('Control+Alt+Home')
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('aria-label')), 'Disconnect', 'the keyboard cannot leave the desktop')
  await page.keyboard.press('Enter')
  await page.getByText('Your programs go on running').waitFor()
  await shot('closed-1280')
  await button('Connect again').press('Enter')
  await connected()
  assert.equal(await shell('echo $$'), pid, 'another session came back')
  assert.equal(await want('sessions on the host'), 1)
}

async function refusal() {
  await want('hosts start first')
  await page.getByRole('tab', { name: 'Desktops' }).click()
  await button('Open Studio, Pool B').click()
  await page.getByText('Studio is not ready yet').waitFor()
  await page.getByText(/Trying again in \d seconds?\./).waitFor()
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 800 })
    await shot(`starting-${width}`)
  }
  await page.setViewportSize({ width: 1280, height: 800 })
  await connected()
  assert.equal(await page.getByRole('tab').count(), 3)
  await shot('tabs-1280')
  await button('Close Studio').click()
  assert.equal(await page.getByRole('tab').count(), 2)
}

async function signOut() {
  await button(/^Account /).click()
  page.once('dialog', (d) => void d.accept())
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await page.getByText('You are signed out').waitFor()
  await shot('signed-out-1280')
  await page.reload()
  await page.getByLabel(/password/i).waitFor()
}

try {
  await signIn()
  say('signed in, the tiles are there')
  await page.reload()
  await button('Open Office desktop, Pool A').waitFor()
  say('a reload needs no second sign-in')
  await looks()
  await download()
  say('the .rdp file was downloaded')
  await work()
  say('a command typed into the terminal ran on the host, and the canvas changed')
  await clipboard()
  say('the clipboard went both ways')
  say('the desktop followed the window: ' + (await resize()))
  say(`after a cut network the same session was back in ${await loss()} ms`)
  await disconnect()
  say('disconnected by keyboard alone, reconnected to the same session')
  await refusal()
  say('a host that has to start is waited for; two sessions in tabs')
  await signOut()
  say('signed out')
  const serious = complaints.filter((c) => !/status of 503|WebSocket|ERR_/.test(c))
  assert.deepEqual(serious, [], 'the browser complained')
} catch (error) {
  await shot('failed').catch(() => undefined)
  say('the browser said: ' + complaints.slice(-10).join(' | '))
  console.error(error)
  process.exitCode = 1
} finally {
  await browser.close()
  process.exit()
}
