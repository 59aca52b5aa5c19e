// Session hosts by clicks: their health and its history, whose sessions end, a personal
// desktop that changes hands, and a choice that is never more than what is shown.
import assert from 'node:assert/strict'
import { about, ask, button, go, page, shot, signIn, take, tell, until, want } from './stage.mjs'

const version = '?api-version=2024-04-03'
const pool = about.places.hostpool
const personal = `${pool.slice(0, pool.lastIndexOf('/'))}/hp2/sessionHosts/pc-0`
const dialog = () => page.locator('[role=dialog]:visible, [role=alertdialog]:visible').last()
const row = (name) => page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) })
const host = async (id) => (await ask('GET', id + version)).properties

/** Checks in words, and when the status changed. */
async function health() {
  await go(`#/host${pool}/sessionHosts/sh-2?tab=health`)
  await page.getByText(/^Remote desktops are listened for: Nothing listens/).waitFor()
  const changes = page.getByRole('grid', { name: 'Changes of status' })
  await changes.getByText('Unavailable').first().waitFor()
  await changes.getByText(/SxSStackListenerCheck/).first().waitFor()
  await shot('hosts-health')
}

/** What is filtered away is not chosen any more. */
async function choice() {
  await go(`#/hostpool${pool}?tab=hosts`)
  await page.getByRole('checkbox', { name: 'Select all that are listed' }).check()
  await page.getByText(/^4 selected/).waitFor()
  await page.getByRole('searchbox', { name: /^Filter/ }).fill('sh-1')
  await page.getByText(/^1 selected/).waitFor()
}

/** Everybody is signed out of a host, by name; then there is nobody to send a message to. */
async function signOut() {
  await button('Sign users out').click()
  await dialog().getByText(`1 session ends: ${about.people.bob.user}.`).waitFor()
  await shot('hosts-signout')
  await button('Sign users out', dialog()).click()
  await until('the end of the session', async () => (await host(`${pool}/sessionHosts/sh-1`)).sessions === 0)
  await until('the list to follow', async () => !(await button('Sign users out').isEnabled()))
  await row('sh-1').getByRole('checkbox').check()
  await button('Send a message').click()
  await dialog().getByLabel(/^Title/).fill('Anybody')
  await dialog().getByLabel(/^Message/).fill('there?')
  await button('Send a message', dialog()).click()
  await dialog().getByText('Nobody has a session there.').first().waitFor()
  await shot('hosts-nobody')
  await button('Cancel', dialog()).click()
  assert.ok(!(await want('messages', 'sh-1')).some((m) => m.startsWith('Anybody')))
}

async function give(who) {
  await button('Assign a user').click()
  await dialog().getByRole('combobox').pressSequentially(who.slice(0, 3))
  await page.getByRole('option', { name: new RegExp(who) }).first().click()
}

/** A personal desktop is given to Bob, then to Ann, of which Bob's loss is told; then to nobody. */
async function assign() {
  const { bob, ann } = about.people
  await go(`#/host${personal}`)
  await give(bob.user)
  await button('Assign a user', dialog()).click()
  await until('Bob’s desktop', async () => (await host(personal)).assignedUser === bob.user)
  await dialog().waitFor({ state: 'detached' })
  await page.getByText(bob.user).first().waitFor()
  await give(ann.user)
  await dialog().getByText(`${bob.user} loses this desktop`).waitFor()
  await shot('hosts-assign')
  await button('Assign a user', dialog()).click()
  await until('Ann’s desktop', async () => (await host(personal)).assignedUser === ann.user)
  await dialog().waitFor({ state: 'detached' })
  await button('Unassign').click()
  await dialog().getByText(`${ann.user} loses this desktop`).waitFor()
  await button('Unassign', dialog()).click()
  await until('nobody’s desktop', async () => !(await host(personal)).assignedUser)
}

/** A machine restarts; a host without one offers none of it. */
async function restart() {
  await go(`#/host${pool}/sessionHosts/run-0`)
  await button('Restart').click()
  await dialog().getByText('Nobody has a session there now.').waitFor()
  await button('Restart', dialog()).click()
  await button(/^Notifications/).click()
  await page.getByText('Restart run-0: done').first().waitFor()
  await page.keyboard.press('Escape')
  await go(`#/host${pool}/sessionHosts/sh-0`)
  assert.ok(!(await button('Restart').isEnabled()))
}

/** An update that waits for no window: there is none, which is no fault. */
async function update() {
  await go(`#/hostpool${pool}?tab=hosts`)
  await row('sh-0').getByRole('checkbox').check()
  await button('Update').click()
  await button(/^Notifications/).click()
  await page.getByText('Start the update of sh-0: done').first().waitFor()
  await page.keyboard.press('Escape')
  await go(`#/hostpool${pool}?tab=sessions`)
  await page.getByText('Nobody has a session here.').or(page.getByText(about.people.bob.user)).first().waitFor()
}

/** The runs that added hosts lead to their pages. */
async function additions() {
  await go(`#/hostpool${pool}?tab=additions`)
  await page.getByRole('row').filter({ hasText: 'run-0' }).getByText('Succeeded').waitFor()
  await page.getByRole('link', { name: /^addSessionHosts-run-/ }).click()
  await page.getByRole('heading', { level: 1, name: 'New session hosts of hp1' }).waitFor()
  await page.getByText('Available', { exact: true }).first().waitFor()
}

/** The wizard takes over what a machine of the pool is like, and all passes but the password. */
async function alike() {
  await go(`#/add${pool}?tab=machines`)
  await page.getByText(/^The pool has machines like run-0: Standard_D2s_v3/).waitFor()
  await shot('hosts-alike')
  await button('Use the same values').click()
  await page.getByText('The pool has machines like').waitFor({ state: 'detached' })
  for (const [label, value] of [[/^Virtual machine size/, /D2s_v3/], [/^Image/, /debian/i], [/^Subnet/, /desks/]]) {
    const chosen = await page.getByRole('combobox', { name: label }).first().locator('option:checked').innerText()
    assert.match(chosen, value)
  }
  await page.getByLabel(/^Password/).last().fill('Correct-Horse-9-Staple')
  await page.getByLabel(/^Confirm password/).last().fill('Correct-Horse-9-Staple')
  await page.getByRole('radio', { name: /^None: the service/ }).check()
  await button('Review + create').click()
  await page.getByText('Validation passed').waitFor()
  page.once('dialog', (d) => void d.accept())
}

const steps = { 'checks and changes of status are said in words': health, 'the choice is what is shown': choice, 'users are signed out by name': signOut, 'a personal desktop changes hands': assign, 'a machine is restarted': restart, 'an update is started': update, 'what was added is listed': additions, 'the wizard takes over what a machine is like': alike }

await tell(async () => {
  await signIn()
  await take(steps)
}, /status of (404|409)/)
