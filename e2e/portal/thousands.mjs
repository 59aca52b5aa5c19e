// A pool of 10,000 session hosts: how soon the list answers, how long a keystroke of its
// filter takes, what memory it holds. The figures are printed; what must hold is that only
// the rows that are seen exist.
import assert from 'node:assert/strict'
import { go, page, say, shot, signIn, tell } from './stage.mjs'

const rows = () => page.locator('main [role=row][data-index]').count()
const heap = async () => {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('HeapProfiler.collectGarbage')
  const { usedSize } = await cdp.send('Runtime.getHeapUsage')
  await cdp.detach()
  return usedSize / 2 ** 20
}

/** Opens an address and says after how many milliseconds there was a first row, and the text. */
const opening = (hash, text) => page.evaluate(([hash, text]) => new Promise((done) => {
  const began = performance.now()
  let first = 0
  location.hash = hash
  const look = () => {
    if (!first && document.querySelector('main [role=row][data-index]')) first = performance.now() - began
    if (document.querySelector('main')?.innerText.includes(text)) done([first, performance.now() - began])
    else requestAnimationFrame(look)
  }
  look()
}), [hash, text])

/** Types one character at a time; the longest time from a keystroke to the paint of its rows. */
async function keystrokes(text) {
  const box = page.locator('main [role=searchbox], main input[type=search]').first()
  await box.focus()
  await page.evaluate(() => {
    window.slowest = 0
    addEventListener('input', () => {
      const began = performance.now()
      requestAnimationFrame(() => setTimeout(() => (window.slowest = Math.max(window.slowest, performance.now() - began))))
    }, true)
  })
  for (const c of text) {
    await page.keyboard.press(c)
    await page.waitForTimeout(250)
  }
  return page.evaluate(() => window.slowest)
}

async function scrolling() {
  return page.evaluate(async () => {
    const grid = document.querySelector('main [role=grid]')
    let most = 0
    for (let i = 0; i <= 40; i++) {
      const began = performance.now()
      grid.scrollTop = (grid.scrollHeight / 40) * i
      await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)))
      most = Math.max(most, performance.now() - began)
    }
    grid.scrollTop = 0
    return most
  })
}

const ms = (n) => `${Math.round(n)} ms`

await tell(async () => {
  await signIn()
  await go('#/workspaces')
  const before = await heap()
  const [first, all] = await opening('#/hosts', '10,000')
  assert.ok((await rows()) < 200, `${await rows()} rows exist at once`)
  await shot('thousands')
  say(`10,000 hosts: first rows after ${ms(first)}, all after ${ms(all)}, ${await rows()} rows in the document`)
  say(`scrolling from end to end: slowest frame ${ms(await scrolling())}`)
  const slowest = await keystrokes('09999')
  await page.getByText(/^1 of 10,000 rows/).waitFor()
  say(`filtering: slowest keystroke to paint ${ms(slowest)}`)
  assert.equal(await rows(), 1)
  await shot('thousands-filtered')
  await page.locator('main [role=searchbox], main input[type=search]').first().fill('')
  const sorted = await page.evaluate(() => {
    const began = performance.now()
    document.querySelector('main [role=columnheader] button').click()
    return new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now() - began))))
  })
  say(`sorting: ${ms(sorted)}`)
  say(`JavaScript's heap: ${before.toFixed(1)} MiB before, ${(await heap()).toFixed(1)} MiB with the list`)
  assert.ok((await rows()) < 200)
})
