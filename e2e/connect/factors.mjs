// A second factor: an authenticator application and a security key, each added and then
// asked for; a wrong code; and what who has lost it is told.
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { base, button, context, giveName, page, say, shot, tell } from './stage.mjs'

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** What an authenticator application shows (RFC 6238), so many steps of 30 s from now. */
function code(secret, steps = 0) {
  let bits = ''
  for (const c of secret) bits += alphabet.indexOf(c).toString(2).padStart(5, '0')
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps))
  const mac = createHmac('sha1', key).update(counter).digest()
  const at = mac[19] & 15
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}

const tiles = () => button(/^Open Office desktop/).waitFor()
const title = (text) => page.getByRole('heading', { level: 1, name: text }).waitFor()

/** A browser that has never been here, at the page that asks for the second factor. */
async function asked() {
  await context.clearCookies()
  await page.goto(base + '/favicon.ico') // a page of the service's that runs nothing
  await page.evaluate(() => sessionStorage.clear())
  await page.goto(base + '/web/')
  await giveName()
  await title('Confirm it is you')
}

async function security() {
  await page.goto(base + '/security')
  if (await page.getByLabel('Password').count()) await giveName()
  await title('Security settings')
}

await tell(async () => {
  await page.goto(base + '/')
  await giveName()
  await tiles()

  await security()
  assert.ok(await page.getByText('whoever knows your password signs in as you').isVisible())
  const secret = (await page.locator('strong.code').textContent()).replaceAll(' ', '')
  await page.locator('#name').fill('Telephone')
  await page.getByLabel('Code that it shows').fill('000000')
  await button('Add the application').click()
  await page.getByText('The code is wrong or was used already').waitFor()
  const fresh = (await page.locator('strong.code').textContent()).replaceAll(' ', '')
  assert.notEqual(fresh, secret, 'a key that was shown with a wrong code is offered again')
  await page.locator('#name').fill('Telephone')
  await page.getByLabel('Code that it shows').fill(code(fresh, -1))
  await button('Add the application').click()
  await button('Remove Telephone').waitFor()
  await shot('factor-added')
  say('an authenticator application was added')

  await asked()
  await shot('factor-asked')
  assert.ok(await page.getByText('An administrator can remove it from your account').isVisible(), 'who has lost it is told nothing')
  await page.getByLabel('Code from your').fill(code(fresh, -1))
  await button('Sign in').click()
  await page.getByText('The code is wrong or was used already').waitFor()
  await page.getByLabel('Code from your').fill(code(fresh))
  await button('Sign in').click()
  await tiles()
  say('a used code was refused, the next one let in')

  const cdp = await context.newCDPSession(page)
  await cdp.send('WebAuthn.enable')
  const options = { protocol: 'ctap2', transport: 'usb', hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true }
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options })
  await security()
  await page.locator('#keyname').fill('Blue key')
  await button('Add a security key').click()
  await button('Remove Blue key').waitFor()
  say('a security key was added')

  await asked()
  await button('Use a security key').click()
  await tiles()
  const { credentials } = await cdp.send('WebAuthn.getCredentials', { authenticatorId })
  assert.equal(credentials.length, 1)
  assert.equal(credentials[0].rpId, 'localhost')
  assert.ok(credentials[0].signCount > 1, 'the key signed nothing')
  say('the security key let in')

  await cdp.send('WebAuthn.clearCredentials', { authenticatorId })
  await asked()
  await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false })
  await button('Use a security key').click()
  await page.getByText(/The security key was not used/).waitFor()
  await shot('factor-key-refused')
  say('another key was refused, and the page says so')
}, /status of 40[01]/)
