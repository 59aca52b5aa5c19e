// Every page of the portal, opened by its address: light and dark, wide and narrow. Nothing
// is wrong in the browser's eyes or axe's, and nothing has to be scrolled sideways.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { violations } from '../browser/story.mjs'
import { about, at, eachLook, go, page, say, settled, shot, signIn, tell } from './stage.mjs'

/** The names of the pages, as the portal has them. */
const names = [...readFileSync(new URL('../../web/src/portal/pages/index.ts', import.meta.url), 'utf8').matchAll(/^ +'?([\w-]*)'?: page\(/gm)].map((m) => m[1])
const found = new Map()

const addressOf = (name) => `#/${name}${about.places[name] ?? ''}${name === 'search' ? '?q=hp' : ''}`

/** Keeps what is wrong, with the looks in which it is: most is wrong in each. */
const wrong = (name, how, what) => found.set(`${name}: ${what}`, [...(found.get(`${name}: ${what}`) ?? []), how])

async function look(name) {
  await page.reload() // the address alone leads here
  await settled()
  await eachLook((how, width) => check(name, name || 'overview', how, width))
  const tabs = await page.locator('main').getByRole('tab').allInnerTexts()
  for (const [i, tab] of tabs.entries()) if (i > 0) await lookAtTab(name, tab.trim(), i)
  return tabs.length
}

/** Another tab of a page: wide and narrow. */
async function lookAtTab(name, tab, i) {
  at(`${name}: ${tab}`)
  await page.locator('main').getByRole('tab').nth(i).click()
  await settled()
  for (const width of [390, 1280]) {
    await page.setViewportSize({ width, height: 844 })
    await page.waitForTimeout(150)
    await check(`${name}, tab ${tab}`, `${name}-${tab.toLowerCase().replaceAll(/[^a-z]+/g, '-')}`, `light-${width}`, width)
  }
}

async function check(name, file, how, width) {
  await shot(`page-${file}-${how}`)
  for (const v of await violations(name, page)) wrong(name, how, v)
  const wide = await page.evaluate(() => [document.documentElement, document.querySelector('main')].map((e) => e.scrollWidth - e.clientWidth))
  if (Math.max(...wide) > 0) wrong(name, how, `is too wide by ${wide[0]}, its content by ${wide[1]}, in a window of ${width}`)
  for (const alert of await page.locator('main [role=alert]').allInnerTexts()) wrong(name, how, `says ${alert.replaceAll('\n', ' ')}`)
  if ((await page.getByRole('heading', { name: 'There is no such page' }).count()) > 0) wrong(name, how, 'there is no such page')
  if ((await page.title()) === 'Deskyard') wrong(name, how, 'has no title of its own')
}

await tell(async () => {
  assert.ok(names.length > 15, 'the list of pages could not be read')
  await signIn()
  let tabs = 0
  for (const name of names) {
    await go(addressOf(name))
    tabs += Math.max(0, (await look(name)) - 1)
  }
  say(`${names.length} pages were looked at, each in four looks, and ${tabs} more tabs of them in two: ${names.map((n) => n || 'overview').join(', ')}`)
  for (const [what, looks] of found) say(`${what} (${looks.join(', ')})`)
  assert.equal(found.size, 0, 'something is wrong with pages')
}, /^add: .*status of 400 .*validateSessionHosts/) // a wizard with nothing typed yet
