// Compresses what vite made, keeps only the compressed forms (the server unpacks for the
// few clients that take neither), prints the sizes and fails over the budgets.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const dist = join(import.meta.dirname, '..', 'dist')
const text = /\.(js|css|html|svg|wasm|json|txt)$/

// Budgets in bytes as they go over the wire (brotli). start is all that a person waits for
// before the tiles show; session is what the first desktop loads besides.
const budgets = { start: 180_000, session: 1_300_000 }

const files = readdirSync(dist, { recursive: true, withFileTypes: true })
  .filter((f) => f.isFile() && text.test(f.name))
  .map((f) => join(f.parentPath, f.name))
  .sort()

const sizes = new Map()
for (const file of files) {
  const raw = readFileSync(file)
  const br = brotliCompressSync(raw, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: raw.length } })
  const gz = gzipSync(raw, { level: 9 })
  writeFileSync(file + '.br', br)
  writeFileSync(file + '.gz', gz)
  rmSync(file)
  const name = relative(dist, file)
  sizes.set(name, br.length)
  console.log(`${name.padEnd(48)} ${String(raw.length).padStart(9)} B  gz ${String(gz.length).padStart(8)}  br ${String(br.length).padStart(8)}`)
}

const isSession = (name) => /ironrdp|iron-remote|session-/.test(name)
const sum = (pick) => [...sizes].filter(([n]) => pick(n)).reduce((a, [, s]) => a + s, 0)
const totals = { start: sum((n) => !isSession(n)), session: sum(isSession) }
let over = false
for (const [name, most] of Object.entries(budgets)) {
  const verdict = totals[name] > most ? 'OVER BUDGET' : 'within budget'
  over ||= totals[name] > most
  console.log(`${name}: ${totals[name]} B of ${most} B, ${verdict}`)
}
if (over) process.exit(1)
