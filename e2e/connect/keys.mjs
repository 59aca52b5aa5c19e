// What is typed reaches the desktop, by the layout that was chosen, and is seen on the
// canvas as the host drew it; the toolbar's other commands; and all by keyboard alone.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { home, base, button, canvas, connected, context, giveName, openTerminal, page, picture, pictureIfThere, say, shell, shot, still, tell, type, until } from './stage.mjs'

const file = (name) => join(home, name)
const menu = async (name, ...items) => {
  await button(name).click()
  for (const item of items) await page.getByRole(/^Ctrl/.test(item) ? 'menuitem' : 'menuitemradio', { name: item, exact: typeof item === 'string' }).click()
}

/** The pixels of an X Window Dump of 32 bits a pixel: (x, y) to 0xRRGGBB. */
function dump(path) {
  const b = readFileSync(path)
  const [head, width, height, line, colours] = [0, 4, 5, 12, 19].map((i) => b.readUInt32BE(4 * i))
  const start = head + 12 * colours
  return { width, height, at: (x, y) => b.readUInt32LE(start + y * line + 4 * x) & 0xffffff }
}

async function seen() {
  await type('clear; for i in 1 2 3 4 5 6; do echo The quick brown fox jumps over the lazy dog, $i times.; done')
  await type(`xwd -root -silent -out ${file('part')}; mv ${file('part')} ${file('screen.xwd')}; sleep 6`)
  await until('the host’s own picture', () => existsSync(file('screen.xwd')))
  await page.waitForTimeout(1500)
  const host = dump(file('screen.xwd'))
  const shown = await canvas().evaluate((c) => {
    const copy = document.createElement('canvas')
    ;[copy.width, copy.height] = [c.width, c.height]
    copy.getContext('2d').drawImage(c, 0, 0)
    return { width: c.width, height: c.height, data: [...new Uint32Array(copy.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)] }
  })
  assert.deepEqual([shown.width, shown.height], [host.width, host.height])
  let [ink, differ] = [0, 0]
  for (let y = 60; y < 300; y++) {
    for (let x = 30; x < 500; x++) {
      const p = shown.data[y * shown.width + x]
      const [want, got] = [host.at(x, y), [p & 255, (p >> 8) & 255, (p >> 16) & 255]]
      if (want === 0) ink++
      if (got.some((v, i) => Math.abs(v - ((want >> (16 - 8 * i)) & 255)) > 24)) differ++
    }
  }
  assert.ok(ink > 1500, `the host drew ${ink} pixels of ink: no text`)
  assert.ok(differ < ink / 100, `${differ} pixels differ from the host’s, of ${ink} of ink`)
  await page.waitForTimeout(5000)
  return `${ink} pixels of ink, ${differ} differ`
}

/** The characters that physical keys give in the desktop. */
async function typed(keys, name) {
  for (const key of keys) await page.keyboard.press(key, { delay: 10 })
  await page.keyboard.press('Enter', { delay: 10 })
  await page.keyboard.press('Control+KeyD', { delay: 10 })
  return (await until(name, () => existsSync(file(name)) && readFileSync(file(name), 'utf8').length > 0 && readFileSync(file(name), 'utf8'))).trim()
}

/** Chooses a layout, which takes a new connection. */
async function choose(name) {
  await menu('Keyboard', name)
  await until('the connection to end', async () => (await page.getByText('Reconnecting…').count()) > 0)
  await connected()
  await canvas().focus()
}

async function layouts() {
  const keys = ['KeyQ', 'KeyZ', 'KeyY', 'BracketLeft', 'Minus', 'Semicolon']
  const got = {}
  for (const [name, want] of [['American English', 'qzy[-;'], ['German', 'qyzüßö'], ['French', 'awy)m']]) {
    const at = name.replace(' ', '')
    await type(`cat > ${file(at)}`) // by the American layout, which all begins and ends with
    if (name !== 'American English') await choose(name)
    got[name] = await typed(name === 'French' ? keys.filter((k) => k !== 'BracketLeft') : keys, at) // ^ is a dead key in French
    assert.equal(got[name], want)
    if (name !== 'American English') await choose('American English')
  }
  return Object.values(got).join(', ')
}

/** Sends characters instead of keys: what a German device's keyboard says, to an American desktop. */
async function characters() {
  await type(`cat > ${file('characters')}`)
  await menu('Keyboard', /^Characters/)
  await canvas().focus()
  const cdp = await context.newCDPSession(page)
  for (const [key, code] of [['z', 'KeyY'], ['y', 'KeyZ'], ['z', 'KeyY']]) {
    await cdp.send('Input.dispatchKeyEvent', { type: 'keyDown', key, code, text: key, windowsVirtualKeyCode: key.toUpperCase().charCodeAt(0) })
    await cdp.send('Input.dispatchKeyEvent', { type: 'keyUp', key, code, windowsVirtualKeyCode: key.toUpperCase().charCodeAt(0) })
  }
  const got = await typed([], 'characters')
  await menu('Keyboard', /^Physical keys/)
  await canvas().focus()
  assert.equal(got, 'zyz')
}

async function commands() {
  await menu('Keyboard', 'Ctrl+Alt+Del')
  await until('Ctrl+Alt+Del on the host', () => existsSync(file('ctrl-alt-del')))
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'IRON-REMOTE-DESKTOP', 'the keyboard did not return to the desktop')
  say('Ctrl+Alt+Del reached the desktop')
  const { width } = await picture()
  await menu('View', /^Economy/)
  await until('a picture of fewer pixels', async () => (await pictureIfThere())?.width === width * 0.75)
  await connected()
  await shot('economy')
  await menu('View', /^Standard/)
  await until('the usual picture', async () => (await pictureIfThere())?.width === width)
  await connected()
  say('the picture’s quality followed')
  await button('Full screen').click()
  await until('the full screen', () => page.evaluate(() => document.fullscreenElement !== null))
  await until('a picture as large as the screen', async () => {
    const [p, inner] = [await pictureIfThere(), await page.evaluate(() => [innerWidth, innerHeight])]
    return p && Math.abs(p.height - inner[1]) < 4 && Math.abs(p.width - inner[0]) < 4
  })
  await connected()
  await shot('full-screen')
  await page.keyboard.press('Control+Alt+Home')
  await page.waitForTimeout(500)
  await shot('full-screen-toolbar')
  await button('Leave full screen').press('Enter')
  await until('the window', () => page.evaluate(() => document.fullscreenElement === null))
  await connected()
  await still()
  assert.equal(await shell('echo still here'), 'still here\n')
  say('full screen and back')
}

/** Walks the page by Tab: each stop has a name, and looks different while it has the focus. */
async function walk() {
  await page.getByRole('tab', { name: 'Desktops' }).click()
  await page.evaluate(() => document.activeElement?.blur())
  const stops = []
  for (let n = 0; n < 20; n++) {
    await page.keyboard.press('Tab')
    const stop = page.locator(':focus')
    if ((await stop.count()) === 0) break
    const name = await stop.evaluate((e) => (e.getAttribute('aria-label') ?? e.innerText ?? '').replaceAll('\n', ' ').trim())
    if (stops.includes(name)) break
    const box = await stop.boundingBox()
    const clip = { x: Math.max(0, box.x - 4), y: Math.max(0, box.y - 4), width: box.width + 8, height: box.height + 8 }
    const focused = await page.screenshot({ clip, caret: 'hide' })
    const holder = await stop.elementHandle()
    await holder.evaluate((e) => e.blur())
    const plain = await page.screenshot({ clip, caret: 'hide' })
    await holder.evaluate((e) => e.focus())
    assert.notDeepEqual(focused, plain, `nobody sees that ${name} has the focus`)
    stops.push(name)
  }
  return stops
}

async function dark() {
  await button(/^Account /).press('Enter')
  await page.getByRole('menuitemradio', { name: 'Dark' }).press('Enter')
  await page.keyboard.press('Escape')
  const paper = await page.evaluate(() => getComputedStyle(document.querySelector('header')).backgroundColor)
  assert.ok(paper.match(/\d+/g).slice(0, 3).every((v) => v < 80), 'the page is not dark: ' + paper)
  await page.reload()
  await button(/^Open Office desktop/).waitFor()
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('header')).backgroundColor), paper, 'a reload forgot it')
}

await tell(async () => {
  await page.goto(base + '/')
  await giveName()
  await openTerminal()
  say('the canvas shows what the host drew: ' + (await seen()))
  say('by the American, German and French layouts the keys gave ' + (await layouts()))
  await characters()
  say('characters instead of keys')
  await commands()
  const stops = await walk()
  say('stops of the keyboard: ' + stops.join(' | '))
  for (const must of [/^(Desktops|Office desktop)$/, /^Account/, /Search/, /Refresh/, /^Open Office desktop/, /^More for Office/]) {
    assert.ok(stops.some((s) => must.test(s)), `the keyboard does not reach ${must}`)
  }
  page.once('dialog', (d) => void d.accept())
  await dark()
  say('dark, and remembered')
})
