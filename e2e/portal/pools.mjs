// Host pools by clicks: made, changed by two people at once, given RDP properties and keys
// that are revoked, and deleted; by somebody who may do so in one resource group alone, too.
import assert from 'node:assert/strict'
import { about, ask, base, button, giveName, go, page, person, shot, signIn, take, tell, until } from './stage.mjs'

const version = '?api-version=2024-04-03'
const groupID = (name) => `/subscriptions/${about.subscription}/resourceGroups/${name}`
const poolID = (group, name) => `${groupID(group)}/providers/Microsoft.DesktopVirtualization/hostPools/${name}`
const pool = (group, name) => ask('GET', poolID(group, name) + version)
const dialog = (of = page) => of.locator('[role=dialog]:visible, [role=alertdialog]:visible').last()
const tab = (name) => page.getByRole('tab', { name, exact: true })
const field = (label) => page.getByLabel(label, { exact: true })
const select = (label, of = page) => of.getByRole('combobox', { name: label }).first()

/** A pooled pool with everything, by the three tabs. */
async function pooled() {
  await go('#/hostpools')
  await page.getByRole('link', { name: 'Create a host pool' }).click()
  await select(/^Resource group/).selectOption('yard')
  await field('Host pool name*').or(field('Host pool name')).first().fill('made')
  await field('Friendly name').fill('Made by hand')
  await select(/^Load balancing/).selectOption({ label: 'Depth-first' })
  await page.getByLabel(/^Max session limit/).fill('7')
  await tab('RDP properties').click()
  await select('Clipboard').selectOption({ label: 'Off' })
  const text = page.getByLabel(/^All properties, as name/)
  await text.fill('redirectclipboard:i:0;what')
  await tab('Tags').click()
  await page.getByText(/^The text on the tab RDP properties is not understood/).waitFor()
  assert.ok(!(await button('Create a host pool').isEnabled()))
  await tab('RDP properties').click()
  await text.fill('redirectclipboard:i:0;')
  await tab('Tags').click()
  await page.getByLabel('Name 1').fill('team')
  await page.getByLabel('Value 1').fill('red')
  await shot('pools-tags')
  await tab('Basics').click()
  assert.equal(await field('Friendly name').inputValue(), 'Made by hand', 'another tab lost what was typed')
  await button('Create a host pool').click()
  await page.getByRole('heading', { level: 1, name: 'made' }).waitFor()
  const { tags, properties: p } = await pool('yard', 'made')
  assert.deepEqual([tags, p.loadBalancerType, p.maxSessionLimit, p.customRdpProperty], [{ team: 'red' }, 'DepthFirst', 7, 'redirectclipboard:i:0;'])
}

/** A personal pool, in a resource group of its own. */
async function personal() {
  await go('#/hostpools-new')
  await select(/^Resource group/).selectOption({ label: 'A new one…' })
  await page.getByLabel(/^New resource group/).fill('anew')
  await page.getByLabel(/^Host pool name/).fill('own')
  await select(/^Host pool type/).selectOption('Personal')
  await select(/^Assignment type/).selectOption('Direct')
  await button('Create a host pool').click()
  await page.getByRole('heading', { level: 1, name: 'own' }).waitFor()
  const { properties: p } = await pool('anew', 'own')
  assert.deepEqual([p.hostPoolType, p.loadBalancerType, p.personalDesktopAssignmentType], ['Personal', 'Persistent', 'Direct'])
}

/** A name that is taken is refused beside its field, and nothing typed goes. */
async function taken() {
  await go('#/hostpools-new')
  await select(/^Resource group/).selectOption('yard')
  await page.getByLabel(/^Host pool name/).fill('hp1')
  await field('Friendly name').fill('Never')
  await button('Create a host pool').click()
  await page.getByRole('alert').first().waitFor()
  await shot('pools-taken')
  assert.equal(await field('Friendly name').inputValue(), 'Never')
  assert.notEqual((await pool('yard', 'hp1')).properties.friendlyName, 'Never')
  page.once('dialog', (d) => void d.accept())
  await page.evaluate(() => (location.hash = '#/hostpools'))
  await button('OK', dialog()).or(dialog().getByRole('button').last()).first().click({ timeout: 2000 }).catch(() => undefined)
}

/** Somebody else changes the same limit: the page asks whose stays. */
async function conflict() {
  await go(`#/hostpool${poolID('yard', 'made')}?tab=properties`)
  await page.getByLabel(/^Max session limit/).fill('9')
  await ask('PATCH', poolID('yard', 'made') + version, { properties: { maxSessionLimit: 11 } })
  await button('Save').click()
  await page.getByText('Somebody else changed this meanwhile').waitFor()
  await button('Keep yours').click()
  if (await button('Save').isEnabled()) await button('Save').click()
  await until('the limit', async () => (await pool('yard', 'made')).properties.maxSessionLimit === 9)
}

/** RDP properties: a space at the end stays while it is typed; a text that is not understood is said to be so. */
async function rdp() {
  await go(`#/hostpool${poolID('yard', 'made')}?tab=rdp`)
  await field('Cameras').fill('one ')
  await tab('Overview').click()
  await tab('RDP properties').click()
  assert.equal(await field('Cameras').inputValue(), 'one ')
  const all = page.getByLabel(/^All properties/)
  const text = await all.inputValue()
  await all.fill(text + 'nonsense')
  await page.getByText(/The fields wait until/).waitFor()
  assert.ok(!(await button('Save').isEnabled()))
  await shot('pools-rdp')
  await all.fill(text)
  await button('Save').click()
  await until('the property', async () => (await pool('yard', 'made')).properties.customRdpProperty.includes('camerastoredirect:s:one'))
}

/** A key is generated and revoked; the page says how the pool stands. */
async function keys() {
  await go(`#/hostpool${poolID('yard', 'made')}?tab=key`)
  await page.getByText('There is no valid key').waitFor()
  await button('Generate new key').click()
  await button('OK', dialog()).click()
  await page.getByText(/^A key is valid/).waitFor()
  await button('Revoke').click()
  await button('Revoke', dialog()).click()
  await page.getByText('There is no valid key').waitFor()
  await page.getByText('Revoked', { exact: true }).waitFor()
  await tab('Overview').click()
  await page.getByText('No valid key').waitFor()
}

/** Deleting says what goes; application groups must go first. */
async function deletion() {
  await go(`#/hostpool${about.places.hostpool}`)
  await button('Delete').click()
  await dialog().getByText(/application groups must be deleted first/).waitFor()
  await dialog().getByText(/4 session hosts go, and 1 session ends/).waitFor()
  assert.ok(!(await button('Delete', dialog()).isEnabled()))
  await shot('pools-delete-blocked')
  await button('Cancel', dialog()).click()
  await go('#/hostpools')
  await page.getByRole('button', { name: 'Delete made' }).click()
  await dialog().getByText('It has no session hosts').waitFor()
  await dialog().getByLabel('Type made to confirm').fill('made')
  await button('Delete', dialog()).click()
  await page.getByRole('link', { name: 'made', exact: true }).waitFor({ state: 'detached' })
}

/** Who may write in one resource group is offered to create there, and nowhere else. */
async function oneGroup() {
  const contributor = '/providers/Microsoft.Authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c'
  await ask('PUT', `${groupID('anew')}/providers/Microsoft.Authorization/roleAssignments/8e2a1f0c-7d4b-4f7e-9a43-5c1e2b3d4f60?api-version=2022-04-01`,
    { properties: { roleDefinitionId: contributor, principalId: about.people.ann.id, principalType: 'User' } })
  const hers = await (await person()).newPage()
  await hers.goto(base + '/portal/#/hostpools')
  await giveName(about.people.ann, hers)
  await hers.getByRole('link', { name: 'Create a host pool' }).click()
  await until('her group', async () => (await select(/^Resource group/, hers).locator('option').allInnerTexts()).join() === ',anew')
  await shot('pools-one-group', hers)
  await select(/^Resource group/, hers).selectOption('anew')
  await hers.getByLabel(/^Host pool name/).fill('hers')
  await button('Create a host pool', hers).click()
  await hers.getByRole('heading', { level: 1, name: 'hers' }).waitFor()
  await hers.context().close()
}

const steps = {
  'a pooled host pool is made, with RDP properties and tags': pooled, 'a personal one, in a new resource group': personal, 'a name that is taken is refused': taken, 'two people change one limit': conflict,
  'RDP properties are edited': rdp, 'a key is generated and revoked': keys, 'a pool is deleted, and one that is published is not': deletion, 'a Contributor of one resource group makes one there': oneGroup,
}

await tell(async () => {
  await signIn()
  await take(steps)
}, /status of (400|404|409|412)/)
