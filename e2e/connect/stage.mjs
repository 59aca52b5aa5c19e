// What every story of the web client stands on: one page, and what is seen on the desktop's
// canvas.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as screen from '../browser/canvas.mjs'
import * as stage from '../browser/story.mjs'

const { about, browser, isOurs, until } = stage
const { base, say } = stage
export { base, say, until }
export const { patience, want } = stage
/** The folder of the person on the host. */
export const { home } = about

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
  if (!isOurs(r.url())) complaints.push('a request to ' + r.url())
})
export const shot = (name) => page.screenshot({ path: join(about.shots, name + '.png') })
export const button = (name) => page.getByRole('button', { name })
export const canvas = () => screen.canvas(page)
export const picture = () => screen.picture(page)
export const pictureIfThere = () => screen.pictureIfThere(page)

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
  const file = join(home, 'out-' + Math.random().toString(36).slice(2))
  await canvas().focus()
  await type(`${command} > ${file}.part; mv ${file}.part ${file}`)
  await until('the output of ' + command, () => existsSync(file)).catch((error) => {
    throw new Error(`${error.message} in ${file}; there are ${readdirSync(home).join(' ')}`)
  })
  return readFileSync(file, 'utf8')
}

/** Fills in the sign-in page, which is shown. */
export const giveName = () => stage.giveName(about.person, page)

export async function signIn() {
  await page.goto(base + '/')
  await giveName()
  await button(/^Open Office desktop/).waitFor()
}

/** Opens the desktop, and waits until its terminal takes keys. */
export async function openTerminal() {
  await button(/^Open Office desktop/).press('Enter')
  await connected()
  await until('the terminal', () => existsSync(join(home, 'ready')))
  await still()
  const takes = join(home, 'takes-keys')
  await until('a terminal that takes keys', async () => {
    await canvas().click({ position: { x: 200, y: 200 } }) // a window that comes after the click has not got the focus by it
    await type(`: > ${takes}`)
    await page.waitForTimeout(700)
    return existsSync(takes)
  })
  await still()
}

/** Does something with the page in each appearance and width, by name. */
export const eachLook = (act) => stage.eachLook(page, act)

/**
 * Runs a story and ends the process: badly if it threw, or if the browser complained of
 * anything but what allowed names.
 */
export const tell = (story, allowed = /status of 503|WebSocket|ERR_/) => stage.run(story, complaints, allowed, () => shot('failed'))
