// A RemoteApp: its tile opens the program and no desktop, in a session titled so.
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { home, base, button, connected, giveName, page, say, shot, tell, until, want } from './stage.mjs'

await tell(async () => {
  await page.goto(base + '/')
  await giveName()
  await button(/^Download the .rdp file Paint/).waitFor() // an app of Windows: no browser can show its windows
  await button(/^Open Terminal/).click()
  await connected()
  assert.equal(await page.getByRole('tab', { selected: true }).innerText(), 'Terminal')
  assert.equal(await page.title(), 'Terminal – Deskyard')
  await until('the program', async () => (await want('programs of the session')).some((p) => p.includes('xterm -title Alone')))
  const programs = await want('programs of the session')
  assert.ok(!programs.some((p) => /openbox|startwm/.test(p)), 'there is a desktop besides: ' + programs.join(', '))
  assert.ok(!existsSync(join(home, 'ready')), 'the desktop started')
  assert.equal(await want('sessions of programs'), 1, 'the host cannot tell that the session is a RemoteApp')
  await shot('application')
  say('the program runs alone: ' + programs.join(', '))
  await want('the program ends')
  await page.getByText('The session ended').waitFor()
  say('the session ended with it')
})
