// The portal by keyboard alone: the skip link, search, the navigation, lists, dialogs and
// menus. Nothing here clicks.
import assert from 'node:assert/strict'
import { base, go, page, say, shot, signIn, tell, until } from './stage.mjs'

/** The element that has the focus, as those who hear the page hear it. */
const focused = () => page.evaluate(() => {
  const e = document.activeElement
  return { role: e?.getAttribute('role') ?? e?.tagName.toLowerCase() ?? '', name: (e?.getAttribute('aria-label') ?? e?.textContent ?? '').trim(), index: e?.getAttribute('data-index') ?? '', inDialog: Boolean(e?.closest('[role=dialog],[role=alertdialog]')) }
})

/** Presses a key until the focus is where it should be, and shows there. */
async function tabTo(what, there, key = 'Tab', most = 60) {
  for (let i = 0; i < most; i++) {
    await page.keyboard.press(key)
    const f = await focused()
    if (!there(f)) continue
    await until(`${what} to be seen with the focus`, () => page.evaluate(() => {
      const { x, y, width, height } = document.activeElement.getBoundingClientRect()
      return width > 0 && height > 0 && x >= 0 && y >= 0
    }), 2000)
    return f
  }
  throw new Error(`${most} presses of ${key} do not lead to ${what}`)
}

const press = (key) => page.keyboard.press(key)
const isNamed = (name) => (f) => f.name === name
const at = (hash) => until(`the address ${hash}`, () => page.url() === `${base}/portal/${hash}`)
const headed = (name) => until(`the focus on the heading ${name}`, async () => ((f) => f.role === 'h1' && f.name === name)(await focused()))

async function skipLink() {
  await tabTo('the skip link', isNamed('Skip to the content'), 'Shift+Tab')
  await page.waitForTimeout(300)
  await shot('keyboard-skip')
  await press('Enter')
  assert.equal((await focused()).role, 'main')
}

async function navigation() {
  await tabTo('Users', (f) => f.role === 'a' && f.name === 'Users', 'Shift+Tab')
  await press('Enter')
  await at('#/users')
  await headed('Users')
}

async function search() {
  await press('Control+/')
  assert.match((await focused()).name, /^Search hosts/)
  await page.keyboard.type('hp1')
  await press('Enter')
  await at('#/search?q=hp1')
  await page.getByRole('link', { name: 'hp1', exact: true }).waitFor()
}

async function list() {
  await go('#/users')
  await tabTo('the list', (f) => f.role === 'row')
  const index = async () => (await focused()).index
  assert.equal(await index(), '0')
  for (const [key, to] of [['ArrowDown', '1'], ['End', '2'], ['ArrowUp', '1'], ['Home', '0'], ['PageDown', '2'], ['PageUp', '0']]) {
    await press(key)
    await until(`row ${to} after ${key}`, async () => (await index()) === to)
  }
  await press('ArrowDown')
  const { name } = await until('the second row', async () => ((f) => f.index === '1' && f)(await focused()))
  await shot('keyboard-row')
  await press('Enter')
  await until('the page about it', () => page.url().includes('#/user/'))
  await until('its heading', async () => name.startsWith((await focused()).name) && (await focused()).role === 'h1')
  await page.goBack()
  await headed('Users')
}

/** Space chooses rows, and what can be done to them then is reached. */
async function choosing() {
  await go('#/hosts')
  await tabTo('the list', (f) => f.role === 'row')
  const chosen = () => page.getByRole('row', { selected: true }).count()
  await press(' ')
  await press('ArrowDown')
  await press(' ')
  await until('two chosen rows', async () => (await chosen()) === 2)
  await press(' ')
  await until('one chosen row', async () => (await chosen()) === 1)
  await tabTo('what can be done', isNamed('Remove'), 'Shift+Tab')
}

/** The navigation of a narrow window. */
async function narrow() {
  await page.setViewportSize({ width: 390, height: 844 })
  await go('#/users')
  await tabTo('the navigation', isNamed('Open the navigation'), 'Shift+Tab')
  await press('Enter')
  await until('the focus in the navigation', async () => (await focused()).inDialog)
  await press('Escape')
  await until('the focus back on its button', async () => (await focused()).name === 'Open the navigation')
  await press('Enter')
  await until('the focus in the navigation', async () => (await focused()).inDialog)
  await tabTo('Groups', (f) => f.role === 'a' && f.name === 'Groups')
  await press('Enter')
  await at('#/groups')
  await headed('Groups')
}

/** A panel keeps the focus, closes by Escape and gives the focus back to what opened it. */
async function panel() {
  await tabTo('the command', isNamed('Create a user'))
  await press('Enter')
  await until('the focus in the panel', async () => (await focused()).inDialog)
  for (let i = 0; i < 14; i++) {
    await press('Tab')
    const f = await focused()
    assert.ok(f.inDialog || f.role === 'body' || f.role === 'i', `Tab leads out of the panel, to ${f.role} ${f.name}`)
  }
  await press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await until('the focus back on the command', async () => (await focused()).name === 'Create a user')
}

/** A question before something is done: Escape is No. */
async function question() {
  await tabTo('the list', (f) => f.role === 'row')
  await press('ArrowDown')
  await press('Enter')
  await until('the page about a person', () => page.url().includes('#/user/'))
  await tabTo('the command', isNamed('Sign out everywhere'))
  await press('Enter')
  await until('the focus in the question', async () => (await focused()).inDialog)
  await shot('keyboard-question')
  await press('Escape')
  await page.getByRole('alertdialog').waitFor({ state: 'detached' })
  await until('the focus back on the command', async () => (await focused()).name === 'Sign out everywhere')
}

async function menu() {
  await tabTo('the account', (f) => f.name.startsWith('Account '), 'Shift+Tab')
  await press('Enter')
  await until('the focus in the menu', async () => (await focused()).role === 'menuitem')
  await press('Escape')
  await until('the focus back on the account', async () => (await focused()).name.startsWith('Account '))
}

await tell(async () => {
  await signIn()
  for (const [what, chapter] of Object.entries({ 'the skip link': skipLink, 'the navigation': navigation, search, 'a list': list, 'a panel': panel, 'a question': question, 'a menu': menu, 'choosing rows': choosing, 'a narrow window': narrow })) {
    await chapter()
    say(`${what} works by keyboard alone`)
  }
})
