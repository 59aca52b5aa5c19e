// A person's work in the web client, from sign-in to sign-out.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import {
  button, connected, openTerminal, page, patience, picture, pictureIfThere, shell, shot, say, signIn, tell, until, want,
} from './stage.mjs'

async function download() {
  await button('More for Office desktop').click()
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name: /\.rdp/ }).click()])
  assert.equal(file.suggestedFilename(), 'Office desktop.rdp')
  const text = readFileSync(await file.path())
  assert.match(text.toString('utf16le') + text.toString('utf8'), /gatewayhostname:s:/)
}

async function work() {
  await openTerminal()
  await shot('session-1280')
  const before = await picture()
  assert.equal(await shell('echo Hello from the browser'), 'Hello from the browser\n')
  assert.notEqual((await picture()).sum, before.sum, 'typing changed no pixel')
  await shot('typed-1280')
}

async function clipboard() {
  await page.evaluate(() => navigator.clipboard.writeText('from the client, ümlaut'))
  await page.waitForTimeout(1500)
  assert.equal(await shell('xclip -o -selection clipboard'), 'from the client, ümlaut')
  await shell('printf from-the-host | xclip -i -selection clipboard')
  await until('the clipboard of the host', async () => (await page.evaluate(() => navigator.clipboard.readText())) === 'from-the-host')
}

async function resize() {
  const before = await picture()
  await page.setViewportSize({ width: 1000, height: 700 })
  const after = await until('a picture of the new size', async () => {
    const p = await pictureIfThere()
    return p?.width === 1000 && p.height !== before.height && p.colours > 1 && p
  })
  await connected()
  await page.setViewportSize({ width: 1280, height: 800 })
  await until('a picture of the old size', async () => (await pictureIfThere())?.width === 1280)
  await connected()
  return `${before.width}x${before.height} to ${after.width}x${after.height}`
}

async function loss() {
  const pid = await shell('echo $$')
  const began = Date.now()
  assert.ok((await want('cut the network')) > 0)
  await page.getByText('The connection was lost').waitFor({ timeout: patience })
  await shot('lost-1280')
  await connected()
  const took = Date.now() - began
  assert.match(await want('why it ended'), /without a word/)
  assert.equal(await shell('echo $$'), pid, 'another session came back')
  return took
}

async function disconnect() {
  const pid = await shell('echo $$')
  await page.keyboard.press('Control+Alt+Home')
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('aria-label')), 'Disconnect', 'the keyboard cannot leave the desktop')
  await page.keyboard.press('Enter')
  await page.getByText('Your programs go on running').waitFor()
  await shot('closed-1280')
  await button('Connect again').press('Enter')
  await connected()
  assert.equal(await shell('echo $$'), pid, 'another session came back')
  assert.equal(await want('sessions on the host'), 1)
}

async function refusal() {
  await want('hosts start first')
  await page.getByRole('tab', { name: 'Desktops' }).click()
  await button(/^Open Studio.* Pool B/).click()
  await page.getByText('Studio is not ready yet').waitFor()
  await page.getByText(/Trying again in \d seconds?\./).waitFor()
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 800 })
    await shot(`starting-${width}`)
  }
  await page.setViewportSize({ width: 1280, height: 800 })
  await connected()
  assert.equal(await page.getByRole('tab').count(), 3)
  await shot('tabs-1280')
  await button('Close Studio').click()
  assert.equal(await page.getByRole('tab').count(), 2)
}

async function signOut() {
  await button(/^Account /).click()
  page.once('dialog', (d) => void d.accept())
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await page.getByText('You are signed out').waitFor()
  await shot('signed-out-1280')
  await page.reload()
  await page.getByLabel(/password/i).waitFor()
}

await tell(async () => {
  await signIn()
  say('signed in, the tiles are there')
  await page.reload()
  await button(/^Open Office desktop.* Pool A/).waitFor()
  say('a reload needs no second sign-in')
  await download()
  say('the .rdp file was downloaded')
  await work()
  say('a command typed into the terminal ran on the host, and the canvas changed')
  await clipboard()
  say('the clipboard went both ways')
  say('the desktop followed the window: ' + (await resize()))
  say(`after a cut network the same session was back in ${await loss()} ms`)
  await disconnect()
  say('disconnected by keyboard alone, reconnected to the same session')
  await refusal()
  say('a host that has to start is waited for; two sessions in tabs')
  await signOut()
  say('signed out')
})
