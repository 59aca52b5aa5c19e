// The article "Add session hosts to a host pool" as it stands, step by step, in the portal;
// then the new hosts are drained, told something and removed. Where the hosts are real
// machines, somebody opens a desktop on them in between.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { about, ask, base, button, page, shot, signIn, take, tell, until, want } from './stage.mjs'
import { openDesk } from './desk.mjs'

/**
 * What differs between machines in memory and real ones: size (of the list, or of one's
 * own as [processors, MiB]), network, subnet, left (machines that stay), within
 * (milliseconds until hosts are Available), told (a host whose agent keeps messages) or
 * user (who works on them).
 */
const { size, network, subnet, left, within, told, user } = about.walk
const hosts = ['desk-0', 'desk-1']
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
  await chooseSize()
  await choose(/^Virtual network/, new RegExp(network))
  await choose(/^Subnet/, new RegExp(subnet))
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

async function chooseSize() {
  if (typeof size === 'string') return choose(/^Virtual machine size/, new RegExp(size))
  await button('Change size').click()
  const [processors, memory] = size
  await dialog().getByLabel(/^vCPUs/).fill(String(processors))
  await dialog().getByLabel(/^Memory/).fill(String(memory))
  await shot('walk-size')
  await button('Select this size', dialog()).click()
  await dialog().waitFor({ state: 'detached' })
}

/** Chooses an option by its text, where another stands. */
async function choose(label, text) {
  const select = page.getByRole('combobox', { name: label }).first()
  const options = await until(`options of ${label}`, async () => ((all) => all.some((o) => text.test(o)) && all)(await select.locator('option').allInnerTexts()))
  await select.selectOption({ label: options.find((o) => text.test(o)) })
}

/** The run ends, and its hosts stand in the pool, available. */
async function hostsAppear() {
  await page.getByRole('heading', { level: 1, name: /New session hosts/ }).waitFor()
  await shot('walk-run')
  await until('both hosts', async () => (await page.getByText(/^desk-[01]$/).count()) >= hosts.length)
  await button('Show the steps of desk-0').click()
  await shot('walk-run-steps')
  await page.keyboard.press('Escape')
  await page.getByText(/What may be next/).waitFor({ timeout: within })
  await shot('walk-run-ended')
  await page.goto(`${base}/portal/#/hostpool${about.places.hostpool}?tab=hosts`)
  for (const name of hosts) await row(name).getByText('Available', { exact: true }).waitFor()
  await shot('walk-hosts')
}

async function drain() {
  await row('desk-0').getByRole('checkbox').check()
  await button('Turn drain mode on').click()
  await row('desk-0').getByText('On: no new sessions').waitFor()
  const { properties } = await ask('GET', `${about.places.hostpool}/sessionHosts/desk-0?api-version=2024-04-03`)
  assert.equal(properties.allowNewSession, false)
  await row('desk-0').getByRole('checkbox').uncheck()
}

let desk = null

/** Somebody opens the desktop: on the host that is not drained. */
async function work() {
  desk = await openDesk(user, within)
  const { value } = await ask('GET', `${about.places.hostpool}/userSessions?api-version=2024-04-03`)
  assert.deepEqual(value.map((s) => `${s.name.split('/')[1]}: ${s.properties.userPrincipalName}`), [`${told}: ${user.user}`])
  await page.goto(`${base}/portal/#/host${about.places.hostpool}/sessionHosts/${told}?tab=sessions`)
  await page.getByText(user.user).first().waitFor()
  await shot('walk-session')
  await page.goto(`${base}/portal/#/hostpool${about.places.hostpool}?tab=hosts`)
}

async function message() {
  await row(told).getByRole('checkbox').check()
  await button('Send a message').click()
  await dialog().getByLabel(/^Title/).fill('Maintenance')
  await dialog().getByLabel(/^Message/).fill('The desktop ends at noon.')
  await shot('walk-message')
  await button('Send a message', dialog()).click()
  await dialog().waitFor({ state: 'detached' })
  await row(told).getByRole('checkbox').uncheck()
  if (user) return desk.told()
  await until('the message on the host', async () => (await want('messages', told)).includes('Maintenance: The desktop ends at noon.'))
}

/** What the machine measures of itself is plotted, once a minute has been kept. */
async function measured() {
  await page.goto(`${base}/portal/#/host${about.places.hostpool}/sessionHosts/${told}?tab=metrics&span=hour`)
  await page.getByText(/^Now: processor \d+ %, memory/).waitFor({ timeout: 60_000 })
  await page.getByRole('img', { name: /^Processor, now In use \d/ }).waitFor({ timeout: 150_000 })
  await shot('walk-metrics')
  await page.goto(`${base}/portal/#/hostpool${about.places.hostpool}?tab=hosts`)
}

/** The host goes, with the session on it if there is one, its machine and its network interface. */
async function remove() {
  const name = user ? told : 'desk-0'
  await row(name).getByRole('checkbox').check()
  await button('Remove').click()
  await dialog().getByLabel(`Type ${name} to confirm`).fill(name)
  await shot('walk-remove')
  await button('Remove', dialog()).click()
  await row(name).waitFor({ state: 'detached', timeout: 60_000 })
  const stay = [...hosts.filter((h) => h !== name), ...left].sort()
  assert.deepEqual(await resources('Microsoft.Compute/virtualMachines', '2024-07-01'), stay, 'machines that stay')
  assert.deepEqual(await resources('Microsoft.Network/networkInterfaces', '2024-05-01'), stay.map((n) => `${n}-nic`), 'network interfaces that stay')
  if (!user) return
  await desk.ended()
  assert.deepEqual(await want('machines'), stay.length, 'folders of machines on the hypervisor')
}

const resources = async (type, version) =>
  (await ask('GET', `/subscriptions/${about.subscription}/resourceGroups/${about.group}/providers/${type}?api-version=${version}`)).value.map((r) => r.name).sort()

const steps = {
  'the host pool is found': findPool,
  'a registration key is generated, copied and downloaded': key,
  'the wizard is gone through': wizard,
  'two hosts were there and Available': hostsAppear,
  'a host is drained': drain,
  ...(user ? { 'somebody works on the other': work } : {}),
  'a host is told something': message,
  ...(user ? { 'what it measures is plotted': measured } : {}),
  'a host is removed, with its machine': remove,
}

await tell(async () => {
  await signIn()
  await take(steps)
}, /status of (404|409)/)
