// What axe finds wrong with a page.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { require } from './stage.mjs'

const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')

/**
 * The violations of a page, a line each. Axe runs in a world of its own: the page's policy
 * lets no script in. Left out are the component library's elements that hand the focus on
 * as soon as they get it.
 */
export async function violations(name, page) {
  const cdp = await page.context().newCDPSession(page)
  const { frameTree } = await cdp.send('Page.getFrameTree')
  const { executionContextId: contextId } = await cdp.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id })
  await cdp.send('Runtime.evaluate', { contextId, expression: axe })
  const { result, exceptionDetails } = await cdp.send('Runtime.evaluate', {
    contextId, awaitPromise: true, returnByValue: true, expression: 'axe.run({ exclude: ["[data-tabster-dummy]"] }, { resultTypes: ["violations"] })',
  })
  await cdp.detach()
  assert.ok(result.value, `axe did not run on ${name}: ${exceptionDetails?.exception?.description}`)
  assert.ok(result.value.passes.length > 5, `axe found next to nothing to check on ${name}`)
  return result.value.violations.map((v) => `${v.id}: ` + v.nodes.slice(0, 4).map((n) => n.html.slice(0, 200) + ' ' + (n.any[0]?.message ?? n.all[0]?.message ?? '')).join('; '))
}
