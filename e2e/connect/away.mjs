// The service's database is away: the pages say so, and when they try again; when it is
// back they go on by themselves.
import { base, button, giveName, page, say, shot, tell, want } from './stage.mjs'

const words = page.getByText('The service cannot reach its database').filter({ visible: true })
const countdown = page.getByText(/Trying again in \d seconds?\./).filter({ visible: true })

await tell(async () => {
  await page.goto(base + '/')
  await giveName()
  await button(/^Open Office desktop/).waitFor()
  await want('the database is away')
  await button('Refresh').click()
  await words.waitFor()
  await countdown.waitFor()
  await button(/^Open Office desktop/).waitFor() // what was there stays
  await shot('away-tiles')
  await button(/^Open Office desktop/).click()
  await words.waitFor()
  await countdown.waitFor()
  await shot('away-session')
  say('a desktop that cannot open says why, and when it is tried again')
  await page.reload()
  await page.getByText('The list of desktops could not be loaded').waitFor()
  await words.waitFor()
  await countdown.waitFor()
  await shot('away-list')
  await want('all is well again')
  await button(/^Open Office desktop/).waitFor()
  say('the list came back by itself')
})
