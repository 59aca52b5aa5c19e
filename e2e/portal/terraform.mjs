// The wizard is filled in as a machine of the pool is, and its text for Terraform downloaded.
import { readFileSync } from 'node:fs'
import { about, button, go, page, shot, signIn, take, tell, want } from './stage.mjs'

const field = (label) => page.getByLabel(label, { exact: true })

async function fill() {
  await go(`#/add${about.places.hostpool}?tab=machines`)
  await button('Use the same values').click()
  await page.getByText('The pool has machines like').waitFor({ state: 'detached' })
  await field('Name prefix*').or(field('Name prefix')).first().fill('tf')
  await field('Number of VMs*').or(field('Number of VMs')).first().fill('2')
  await page.getByRole('group', { name: /security group/i }).or(page.getByRole('radiogroup', { name: /security group/i })).getByRole('radio', { name: 'Basic' }).check()
  await page.getByLabel(/^Password/).last().fill('Correct-Horse-9-Staple')
  await page.getByLabel(/^Confirm password/).last().fill('Correct-Horse-9-Staple')
  await page.getByRole('radio', { name: /^None: the service/ }).check()
  await button('Next: Tags').click()
  await page.getByLabel('Name 1').fill('team')
  await page.getByLabel('Value 1').fill('${red} "and" %{blue}')
  await button('Next: Review + create').click()
  await page.getByText('Validation passed').waitFor()
}

async function download() {
  await button('Download template and parameters').click()
  await page.getByRole('tab', { name: 'Terraform' }).click()
  await shot('terraform')
  const [file] = await Promise.all([page.waitForEvent('download'), button(/^Download: .*\.tf$/).click()])
  await want('the text', readFileSync(await file.path(), 'utf8'))
}

await tell(async () => {
  await signIn()
  await take({ 'the wizard is filled in': fill, 'its text for Terraform is downloaded': download })
}, /status of 404/)
