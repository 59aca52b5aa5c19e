// The article "Add session hosts to a host pool" as it stands, step by step, in the portal;
// then the new hosts are drained, told something and removed.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { about, ask, at, base, button, page, say, shot, signIn, tell, until, want } from './stage.mjs'

const field = (label) => page.getByLabel(label, { exact: true })
const dialog = () => page.locator('[role=dialog]:visible, [role=alertdialog]:visible').last()
const tab = (name) => page.getByRole('tab', { name, exact: true })
const row = (name) => page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) })

/** 1 to 3: sign in, search, Host pools, the pool. */
async function findPool() {
  await page.getByRole('searchbox').first().fill('hp1')
  await page.getByRole('searchbox').first().press('Enter')
  await page.getByRole('link', { name: 'hp1', exact: true }).waitFor()
  await page.getByRole('navigation', { name: 'Portal' }).getByRole('link', { name: 'Host pools' }).click()
  await page.getByRole('link', { name: 'hp1', exact: true }).click()
  await page.getByRole('heading', { level: 1, name: 'hp1' }).waitFor()
}

/** Registration key: generated, copied, downloaded. */
async function key() {
  await tab('Registration key').click()
  await button('Generate new key').click()
  const inTenDays = new Date(Date.now() + 10 * 86_400_000).toISOString().slice(0, 10)
  await dialog().getByLabel(/^Expiration date/).fill(inTenDays)
  await dialog().getByLabel(/^Expiration time/).fill('12:00')
  await shot('walk-key-form')
  await button('OK', dialog()).click()
  await dialog().waitFor({ state: 'detached' })
  await page.getByText(/^A key is valid\. It expires/).waitFor()
  const [file] = await Promise.all([page.waitForEvent('download'), button('Download').click()])
  const text = readFileSync(await file.path(), 'utf8')
  const { token } = await ask('POST', `${about.places.hostpool}/retrieveRegistrationToken?api-version=2024-04-03`)
  assert.equal(text, token, 'the file holds something else than the key')
  await button('Copy the key').click()
  await until('the key in the clipboard', async () => (await page.evaluate(() => navigator.clipboard.readText())) === token)
  await button('Show the key').click()
  await page.getByText(token, { exact: false }).first().waitFor()
  await shot('walk-key')
}

/** + Add, and each tab of the wizard. */
async function wizard() {
  await tab('Session hosts').click()
  await page.getByRole('link', { name: 'Add', exact: true }).first().click()
  await page.getByRole('heading', { level: 1, name: 'Add virtual machines to a host pool' }).waitFor()
  await shot('walk-basics')
  await button('Next: Virtual Machines').click()
  await field('Name prefix*').or(field('Name prefix')).first().fill('desk')
  await field('Number of VMs*').or(field('Number of VMs')).first().fill('2')
  await choose(/^Image/, /debian/i)
  await choose(/^Virtual machine size/, /D2s_v3/)
  await choose(/^Virtual network/, /office/)
  await choose(/^Subnet/, /desks/)
  await page.getByLabel(/^Username/).fill('keeper')
  await page.getByLabel(/^Password/).last().fill('Correct-Horse-9-Staple')
  await page.getByLabel(/^Confirm password/).last().fill('Correct-Horse-9-Staple')
  const none = page.getByRole('radio', { name: /^None: the service/ })
  if ((await none.count()) > 0) await none.check()
  await shot('walk-machines')
  await button('Next: Tags').click()
  await shot('walk-tags')
  await button('Next: Review + create').click()
  await page.getByText('Validation passed').waitFor()
  await shot('walk-review')
  await button('Create').click()
}

/** Chooses an option by its text, where another stands. */
async function choose(label, text) {
  const select = page.getByRole('combobox', { name: label }).first()
  const options = await until(`options of ${label}`, async () => ((all) => all.some((o) => text.test(o)) && all)(await select.locator('option').allInnerTexts()))
  await select.selectOption({ label: options.find((o) => text.test(o)) })
}

/** The run ends, and its hosts stand in the pool, available. */
async function hostsAppear() {
  const began = Date.now()
  await page.getByRole('heading', { level: 1, name: /New session hosts/ }).waitFor()
  await shot('walk-run')
  await until('both hosts', async () => (await page.getByText(/^desk-[01]$/).count()) >= 2)
  await page.goto(`${base}/portal/#/hostpool${about.places.hostpool}?tab=hosts`)
  for (const name of ['desk-0', 'desk-1']) await row(name).getByText('Available', { exact: true }).waitFor({ timeout: 60_000 })
  await shot('walk-hosts')
  return Date.now() - began
}

async function drain() {
  await row('desk-0').getByRole('checkbox').check()
  await button('Turn drain mode on').click()
  await row('desk-0').getByText('On: no new sessions').waitFor()
  const { properties } = await ask('GET', `${about.places.hostpool}/sessionHosts/desk-0?api-version=2024-04-03`)
  assert.equal(properties.allowNewSession, false)
}

async function message() {
  for (const box of await page.getByRole('row').getByRole('checkbox', { checked: true }).all()) await box.uncheck()
  await row('sh-1').getByRole('checkbox').check()
  await button('Send a message').click()
  await dialog().getByLabel(/^Title/).fill('Maintenance')
  await dialog().getByLabel(/^Message/).fill('The desktop ends at noon.')
  await shot('walk-message')
  await button('Send a message', dialog()).click()
  await until('the message on the host', async () => (await want('messages', 'sh-1')).includes('Maintenance: The desktop ends at noon.'))
  await dialog().waitFor({ state: 'detached' })
}

async function remove() {
  for (const box of await page.getByRole('row').getByRole('checkbox', { checked: true }).all()) await box.uncheck()
  await row('desk-0').getByRole('checkbox').check()
  await button('Remove').click()
  await dialog().getByLabel('Type desk-0 to confirm').fill('desk-0')
  await shot('walk-remove')
  await button('Remove', dialog()).click()
  await row('desk-0').waitFor({ state: 'detached', timeout: 60_000 })
  const machines = await ask('GET', `/subscriptions/${about.subscription}/resourceGroups/${about.group}/providers/Microsoft.Compute/virtualMachines?api-version=2024-07-01`)
  assert.deepEqual(machines.value.map((m) => m.name).sort(), ['desk-1', 'run-0'], 'the machine of the removed host is still there')
}

await tell(async () => {
  await signIn()
  for (const [what, step] of Object.entries({ 'the host pool is found': findPool, 'a registration key is generated, copied and downloaded': key, 'the wizard is gone through': wizard })) {
    at(what)
    await step()
    say(what)
  }
  at('the run')
  say(`two hosts were there and Available ${await hostsAppear()} ms after Create`)
  for (const [what, step] of Object.entries({ 'drained': drain, 'told something': message, 'removed, with its machine': remove })) {
    at(what)
    await step()
    say('a host is ' + what)
  }
}, /status of (404|409)/)
