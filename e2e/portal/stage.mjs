// What every story of the portal stands on: a signed-in page, and what the browser complains
// of.
import { basename, join } from 'node:path'
import * as stage from '../browser/story.mjs'

const { about, base, browser, isOurs, patience, say, want } = stage
export { about, base, say, want }
export const { giveName, until } = stage

/** A request of the management API, beside the browser. */
export const ask = (method, path, body = null) => want('a request', { method, path, body })

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
    if (!isOurs(r.url())) complain('a request to ' + r.url())
  })
  return context
}

export const context = await person()
export const page = await context.newPage()
export const shot = (name, of = page) => of.screenshot({ path: join(about.shots, name + '.png') })
export const button = (name, of = page) => of.getByRole('button', { name, exact: typeof name === 'string' })

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

/** Does something with the page in each appearance and width, by name. */
export const eachLook = (act, of = page) => stage.eachLook(of, act)

/** Takes the steps of a story by name, one after the other, and says how long each took. */
export async function take(steps) {
  for (const [what, step] of Object.entries(steps)) {
    at(what)
    const began = Date.now()
    await step()
    say(`${what}: ${Date.now() - began} ms`)
  }
}

/**
 * Runs a story and ends the process: badly if it threw, or if the browser complained of
 * anything but what allowed names.
 */
export const tell = (story, allowed = /^$/) =>
  stage.run(story, complaints, allowed, async () => {
    say('it was at ' + where)
    await shot('failed-' + basename(process.argv[1], '.mjs'))
  })
