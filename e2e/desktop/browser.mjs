// A browser that obeys browser.go: one JSON line in, {"do": …, …}, one line out,
// {"value": …} or {"error": …}.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const { WEB, BASE, CHROMIUM, SHOTS } = process.env
const { chromium } = createRequire(join(WEB, 'package.json'))('playwright-core')
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1000, height: 640 }, colorScheme: 'light' })
const page = await context.newPage()
const complaints = []
page.on('console', (m) => m.type() === 'error' && complaints.push(m.text()))
page.on('pageerror', (e) => complaints.push(`${e.name}: ${e.message}`))

const canvas = () => page.locator('[role=tabpanel]:visible iron-remote-desktop canvas')
const screen = () => page.getByTestId('screen').filter({ visible: true })

async function until(what, probe, within) {
  for (const end = Date.now() + within; ; ) {
    const got = await probe()
    if (got) return got
    if (Date.now() > end) throw new Error(`in vain, for ${within} ms: ${what}; the page says: ${(await page.locator('body').innerText()).replace(/\s+/g, ' ').slice(0, 500)}`)
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
}

/** What the canvas shows above the panel, whose clock goes on, as one number. */
const picture = async () => (await canvas().count()) !== 1 ? { sum: NaN, colours: 0 } : canvas().evaluate((c) => {
  const copy = document.createElement('canvas')
  ;[copy.width, copy.height] = [c.width, c.height]
  const to = copy.getContext('2d')
  to.drawImage(c, 0, 0)
  if (c.height <= 40) return { sum: NaN, colours: 0 }
  const pixels = new Uint32Array(to.getImageData(0, 0, c.width, c.height - 40).data.buffer)
  let sum = 0
  for (const p of pixels) sum = (sum * 31 + p) | 0
  return { sum, colours: new Set(pixels.filter((_, i) => i % 97 === 0)).size, width: c.width, height: c.height }
})

const able = {
  async signIn({ login, password }) {
    await page.goto(BASE + '/')
    await page.getByLabel(/user ?name|e-?mail|account/i).first().fill(login)
    await page.getByLabel(/password/i).fill(password)
    await page.getByLabel(/password/i).press('Enter')
    await page.getByRole('button', { name: /^Open / }).first().waitFor()
    return Date.now()
  },
  /** Opens the first desktop, or returns to it, and waits until it shows more than a few colours. */
  async open({ button, within }) {
    await able.press({ button })
    return able.connected({ within })
  },
  async connected({ within }) {
    await until('a desktop on the canvas', async () => (await page.getByText(/is connected\./).count()) > 0 && (await picture()).colours > 60, within)
    return Date.now()
  },
  async press({ button }) {
    await page.getByRole('button', { name: new RegExp(button) }).first().click()
    return Date.now()
  },
  /** Waits until the picture has stood still for so long. */
  async still({ quiet, within }) {
    let last = NaN, since = Date.now()
    await until('a picture that stands still', async () => {
      const { sum } = await picture()
      if (sum !== last) [last, since] = [sum, Date.now()]
      return Date.now() - since > quiet
    }, within)
    return last
  },
  async changes({ from, within }) {
    await until('a change of the picture', async () => {
      const { sum } = await picture()
      return Number.isInteger(sum) && sum !== from
    }, within)
    return Date.now()
  },
  /** Clicks into the desktop; what is negative counts from the right or the bottom. */
  async click({ x, y }) {
    const { width, height } = await canvas().boundingBox()
    await canvas().click({ position: { x: x < 0 ? width + x : x, y: y < 0 ? height + y : y } })
    return Date.now()
  },
  /** Types as a keyboard does, with Shift where a character takes one. */
  async type({ text }) {
    const shifted = '~!@#$%^&*()_+{}|:"<>?'
    const plain = "`1234567890-=[]\\;',./"
    for (const c of text) {
      const at = shifted.indexOf(c)
      const shift = at >= 0 || /[A-Z]/.test(c)
      if (shift) await page.keyboard.down('Shift')
      await page.keyboard.press(c === '\n' ? 'Enter' : at >= 0 ? plain[at] : c.toLowerCase(), { delay: 15 })
      if (shift) await page.keyboard.up('Shift')
    }
    return Date.now()
  },
  async read({ text, within }) {
    await until(text, async () => new RegExp(text).test(await page.locator('body').innerText()), within)
    return Date.now()
  },
  async shot({ name, of }) {
    const file = join(SHOTS, name)
    await (of === 'desktop' ? screen() : page).screenshot({ path: file, ...(/jpg$/.test(name) ? { type: 'jpeg', quality: 78 } : {}) })
    return file
  },
  async complaints() {
    return complaints
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line)
  try {
    console.log(JSON.stringify({ value: await able[order.do](order) }))
  } catch (error) {
    await page.screenshot({ path: join(SHOTS, 'failed.png') }).catch(() => undefined) // the error tells more
    console.log(JSON.stringify({ error: String(error.message ?? error) + complaints.slice(-5).map((c) => '; the browser: ' + c).join('') }))
  }
}
await browser.close()
process.exit()
