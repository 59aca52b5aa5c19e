// A Reader sees every page and no button that would fail: each one that can be pressed is
// pressed, with what it opens, and the service refuses nothing. An action that the service
// refuses all the same says which permission is missing.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { about, ask, at, button, go, page, say, settled, shot, signIn, tell, until } from './stage.mjs'

const names = [...readFileSync(new URL('../../web/src/portal/pages/index.ts', import.meta.url), 'utf8').matchAll(/^ +'?([\w-]*)'?: page\(/gm)].map((m) => m[1])
const addressOf = (name) => `#/${name}${about.places[name] ?? ''}${name === 'search' ? '?q=hp' : ''}`
const refused = new Map()
let pressing = ''
let pressed = 0
page.on('response', async (r) => {
  if (r.status() !== 403) return
  const { error } = await r.json().catch(() => ({}))
  const line = `${r.request().method()} ${new URL(r.url()).pathname.replaceAll(about.subscription, 'S')}: ${/'([^']+)'/.exec(error?.message ?? '')?.[1] ?? error?.message}`
  refused.set(line, [...(refused.get(line) ?? []), pressing])
})

page.on('dialog', (d) => void d.accept()) // what was typed is left

/** What can be pressed, but for what only sorts and leads to another tab. */
const pressable = () => page.locator('main button:visible:not([disabled]):not([aria-disabled=true]):not([aria-haspopup=menu]):not([role=tab]):not([title^="Sort by"])')

/** Presses what a button opened: all of a dialog's buttons but those that close it. */
async function answer() {
  const dialog = page.locator('[role=dialog]:visible, [role=alertdialog]:visible').last()
  if ((await dialog.count()) === 0) return
  for (const input of await dialog.locator('input[type=text]:visible').all()) {
    const name = /Type (\S+) to confirm/.exec((await dialog.innerText()) ?? '')?.[1]
    await input.fill(name ?? 'reader@yard.example').catch(() => undefined)
  }
  const go = dialog.locator('button:visible:not([disabled]):not([aria-disabled=true])').filter({ hasNotText: /^(Cancel|Close|)$/ }).last()
  if ((await go.count()) > 0) await go.click().catch(() => undefined)
  await page.waitForTimeout(300)
}

async function pressAll(name) {
  await go(addressOf(name))
  const tabs = await page.getByRole('tab').count()
  for (let tab = 0; tab < Math.max(tabs, 1); tab++) {
    const count = await onTab(tabs, tab)
    for (let i = 0; i < count; i++) {
      const b = pressable().nth(i)
      if ((await b.count()) === 0) break
      const label = (await b.getAttribute('aria-label')) ?? (await b.innerText())
      pressing = `${name}: ${label}`
      at(pressing)
      await b.click({ timeout: 3000 }).catch(() => undefined)
      pressed++
      await page.waitForTimeout(200)
      await answer()
      const clean = page.url().endsWith(addressOf(name)) && (await page.locator('[role=dialog]:visible, [role=alertdialog]:visible').count()) === 0
      if (!clean) await again(name, tabs, tab)
    }
  }
}

async function onTab(tabs, tab) {
  if (tabs > 1) await page.getByRole('tab').nth(tab).click()
  await settled()
  // What can be done to chosen rows shows once one is chosen.
  const choice = page.locator('main [role=row][data-index] input[type=checkbox]:not([role=switch])').first()
  if ((await choice.count()) > 0) await choice.check()
  return pressable().count()
}

async function again(name, tabs, tab) {
  await page.keyboard.press('Escape')
  await go('#/')
  await go(addressOf(name))
  await onTab(tabs, tab)
}

/** What a role lets somebody do until a moment ago is refused, and why is said. */
async function refusal() {
  const contributor = '/providers/Microsoft.Authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c'
  const path = `${about.places.workspace}/providers/Microsoft.Authorization/roleAssignments/6f0d4b9e-3c58-4a4e-9f6b-0d2f4c1f7a10?api-version=2022-04-01`
  await ask('PUT', path, { properties: { roleDefinitionId: contributor, principalId: about.people.ann.id, principalType: 'User' } })
  await go(`#/workspace${about.places.workspace}?tab=properties`)
  await page.reload()
  await settled()
  await page.getByLabel('Friendly name', { exact: true }).fill('By Ann')
  await ask('DELETE', path)
  refused.clear()
  await until('a refusal', async () => {
    await button('Save').click()
    await page.waitForTimeout(500)
    return refused.size > 0
  })
  await page.getByText(/You lack the permission Microsoft\.DesktopVirtualization\/workspaces\/write on .*Ask an administrator/).first().waitFor()
  assert.equal(await page.getByLabel('Friendly name', { exact: true }).inputValue(), 'By Ann')
  await shot('reader-refused')
}

await tell(async () => {
  await signIn(about.people.ann)
  for (const name of names) {
    pressing = `${name}: to open it`
    await pressAll(name)
    await shot(`reader-${name || 'overview'}`)
  }
  say(`${pressed} buttons of ${names.length} pages were pressed by a Reader`)
  for (const [what, when] of refused) say(`refused: ${what} (${[...new Set(when)].join(', ')})`)
  assert.equal(refused.size, 0, 'the service refused what a Reader could press')
  at('refusal')
  await refusal()
  say('a refused action said which permission is missing')
}, /status of (400|403|404|409)/)
