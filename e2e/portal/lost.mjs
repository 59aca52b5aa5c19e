// What goes wrong between a page and the service: the connection is lost, the sign-in ends,
// somebody else changes the same thing. Each is said, and nothing that was typed is lost.
import assert from 'node:assert/strict'
import { about, ask, at, base, button, context, giveName, go, page, say, shot, signIn, tell, until, want } from './stage.mjs'

const stale = page.getByText(/^As of .*: the connection is lost\. The page goes on trying\.$/)
const field = (label) => page.getByLabel(label, { exact: true })
const created = page.getByText(/^The password of /)

async function connectionLost() {
  await go('#/users')
  await page.getByRole('link', { name: 'ann' }).waitFor()
  await button('Create a user').click()
  await field('User principal name*').fill('carol@yard.example')
  await field('Display name').fill('Carol')
  await want('the service stops')
  await stale.waitFor({ state: 'attached', timeout: 30_000 })
  await button('Create a user', page.getByRole('dialog')).click()
  await page.getByRole('dialog').getByText('The service did not answer.').waitFor()
  await shot('lost-form')
  assert.equal(await field('Display name').inputValue(), 'Carol')
  await page.keyboard.press('Escape')
  await stale.waitFor()
  await page.getByRole('link', { name: 'ann' }).waitFor() // the rows are still there
  await shot('lost-list')
  await want('the service starts')
  const began = Date.now()
  await stale.waitFor({ state: 'detached', timeout: 90_000 })
  return Date.now() - began
}

/** The same for the session hosts, whose list takes changes in by itself. */
async function hostsLost() {
  await go('#/hosts')
  const rows = page.getByRole('link', { name: 'sh-0' })
  await rows.waitFor()
  await want('the service stops')
  await stale.waitFor({ timeout: 30_000 })
  await rows.waitFor()
  await shot('lost-hosts')
  await want('the service starts')
  await stale.waitFor({ state: 'detached', timeout: 90_000 })
  await page.getByRole('row').filter({ hasText: 'sh-0' }).getByText('Available', { exact: true }).waitFor({ timeout: 60_000 })
}

/** Ends all sign-ins, and waits until the page asks for another. */
async function signInEnds() {
  await button('Create a user').click()
  await field('User principal name*').fill('dora@yard.example')
  await field('Display name').fill('Dora')
  await want('sign-ins end', about.people.admin.user)
  await button('Create a user', page.getByRole('dialog')).click()
  await page.getByRole('heading', { name: 'Sign in again' }).waitFor()
  await shot('sign-in-again')
}

const openSignIn = async () => (await Promise.all([context.waitForEvent('page'), button('Sign in').click()]))[0]

async function signInExpires() {
  await signInEnds()
  const popup = await openSignIn()
  await giveName(about.people.bob, popup)
  await page.getByText(/^The new sign-in is bob@yard\.example’s/).waitFor()
  await shot('sign-in-other')
  await until('the window to close', () => popup.isClosed())
}

async function signInAgain() {
  // The issuer's browser session is Bob's now; it ends before the administrator signs in.
  await context.clearCookies()
  const popup = await openSignIn()
  await giveName(about.people.admin, popup)
  await created.waitFor()
  await until('the window to close', () => popup.isClosed())
  const { userPrincipalName, displayName } = await ask('GET', '/graph/v1.0/users/dora@yard.example')
  assert.deepEqual([userPrincipalName, displayName], ['dora@yard.example', 'Dora'], 'what was typed before the new sign-in')
  await button('Close', page.getByRole('alertdialog')).click()
  await created.waitFor({ state: 'detached' })
}

const properties = async () => (await ask('GET', `${about.places.workspace}?api-version=2024-04-03`)).properties
const change = (of) => ask('PATCH', `${about.places.workspace}?api-version=2024-04-03`, { properties: of })

/** Two people change other values of one thing: both changes are kept. */
async function bothChange() {
  await go(`#/workspace${about.places.workspace}?tab=properties`)
  await field('Friendly name').fill('Mine')
  await change({ description: 'theirs' })
  await button('Save').click()
  await until('both changes', async () => ((p) => p.friendlyName === 'Mine' && p.description === 'theirs')(await properties()))
  await until('the form to follow', async () => (await field('Description').inputValue()) === 'theirs')
}

/** Two people change the same value: the page asks whose stays. */
async function conflict(keep, mine, expected) {
  await field('Friendly name').fill(mine)
  await change({ friendlyName: 'Theirs' + keep })
  await button('Save').click()
  await page.getByText('Somebody else changed this meanwhile').waitFor()
  assert.equal(await field('Friendly name').inputValue(), mine, 'what was typed was lost')
  await shot('conflict')
  await button(keep).click()
  if (await button('Save').isEnabled()) await button('Save').click()
  await until(`the name ${expected}`, async () => (await properties()).friendlyName === expected)
  await until('nothing left to save', async () => !(await button('Save').isEnabled()))
  assert.equal(await field('Friendly name').inputValue(), expected)
}

/** Follows a link to the host pools and answers the question whether to leave; in vain where none is asked. */
async function leave(answer) {
  let asked = false
  page.once('dialog', (d) => void answer(d).then(() => (asked = true)))
  await page.getByRole('link', { name: 'Host pools' }).first().click()
  await until('the question whether to leave', () => asked)
}

/** A page with something unsaved asks before it is left. */
async function leaving() {
  await field('Friendly name').fill('Not saved')
  await leave((d) => d.dismiss())
  await until('the page to stay', () => /#\/workspace\//.test(page.url())) // the browser changes the address before it asks
  assert.equal(await field('Friendly name').inputValue(), 'Not saved')
  await leave((d) => d.accept())
  await until('the other page', () => page.url().startsWith(`${base}/portal/#/hostpools`))
}

/** A host goes once its users had their time, through a restart of the service, of which no word is a lie. */
async function hostGoes() {
  const { bob } = about.people
  const dialog = page.getByRole('alertdialog')
  const note = page.getByText(/^Remove sh-1(: |…)/)
  await go('#/hosts')
  const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: 'sh-1', exact: true }) })
  await row.getByRole('checkbox').check()
  await button('Remove').click()
  await dialog.getByText(`1 session ends: ${bob.user}.`).waitFor()
  await dialog.getByLabel('Type sh-1 to confirm').fill('sh-1')
  const minutes = dialog.getByLabel('Minutes until users are signed out')
  await minutes.fill('1441')
  await dialog.getByText('A whole number from 0 to 1440.').waitFor()
  assert.ok(!(await button('Remove', dialog).isEnabled()))
  await minutes.fill('30')
  await shot('host-goes')
  await button('Remove', dialog).click()
  const told = 'Maintenance: This desktop will be taken out of service in 30 minutes. Save your work and sign out; you can sign in again at once.'
  await until('the message', async () => (await want('messages', 'sh-1')).includes(told))
  await want('the service stops')
  await stale.waitFor({ timeout: 30_000 })
  await want('the service starts')
  await stale.waitFor({ state: 'detached', timeout: 90_000 })
  await row.getByText('Available', { exact: true }).waitFor({ timeout: 60_000 }) // its link is back
  await button(/^Notifications/).click()
  assert.equal(await note.first().innerText(), 'Remove sh-1…')
  const [session] = (await ask('GET', `${about.places.host}/userSessions?api-version=2024-04-03`)).value
  await ask('DELETE', `${session.id}?force=true&api-version=2024-04-03`)
  await page.getByText('Remove sh-1: done').first().waitFor({ timeout: 60_000 })
  await page.keyboard.press('Escape')
  await row.waitFor({ state: 'detached' })
}

await tell(async () => {
  await signIn()
  say(`the page said as of when its rows were, and went on by itself ${await connectionLost()} ms after the service was back`)
  await hostsLost()
  say('so does the list of session hosts, which shows them Available again')
  at('a host that goes')
  await hostGoes()
  say('a host went once its users had been told and were gone, through a restart of the service')
  await go('#/users')
  at('expired sign-in')
  await signInExpires()
  say('the sign-in ended: the page asked for another, and took none of somebody else')
  await signInAgain()
  say('after a new sign-in the page went on with what was typed')
  await bothChange()
  await conflict('Keep yours', 'Mine again', 'Mine again')
  await conflict('Take theirs', 'Once more', 'TheirsTake theirs')
  say('two people changed one thing: other values merge, the same value is asked about')
  await leaving()
  say('a page with something unsaved asks before it is left')
}, /ERR_|status of (400|401|404|412)/)
