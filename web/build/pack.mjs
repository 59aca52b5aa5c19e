// Compresses what vite made, keeps only the compressed forms (the server unpacks for the
// few clients that take neither), prints the sizes and fails over the budgets.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const dist = join(import.meta.dirname, '..', 'dist')
const text = /\.(js|css|html|svg|wasm|json|txt)$/

// Budgets in bytes as they go over the wire (brotli). desktops and portal are all that a
// person waits for before the tiles or the overview's frame show; session is what the first
// desktop loads besides, page what any one page of the portal does.
const budgets = { desktops: 180_000, portal: 350_000, session: 1_300_000, page: 120_000 }

const manifestFile = join(dist, 'manifest.json')
const manifest = JSON.parse(readFileSync(manifestFile, 'utf8'))
rmSync(manifestFile)

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

/** The files that a chunk needs at once: its own and those that it imports, not what it loads later. */
function needs(key, found = new Set()) {
  const chunk = manifest[key]
  if (!chunk || found.has(chunk.file)) return found
  found.add(chunk.file)
  for (const css of chunk.css ?? []) found.add(css)
  for (const asset of chunk.assets ?? []) found.add(asset)
  for (const other of chunk.imports ?? []) needs(other, found)
  return found
}

const sum = (names) => [...names].reduce((a, n) => a + (sizes.get(n) ?? 0), 0)
const without = (names, base) => new Set([...names].filter((n) => !base.has(n)))
const desktops = needs('index.html')
const portal = needs('portal.html')
const later = Object.keys(manifest).filter((key) => manifest[key].isDynamicEntry)
const isPage = (key) => key.startsWith('src/portal/')
const session = new Set(later.filter((key) => !isPage(key)).flatMap((key) => [...needs(key)]))
const pages = later.filter(isPage).map((key) => [key, sum(without(needs(key), portal))])
const largest = pages.reduce((a, b) => (b[1] > a[1] ? b : a), ['none', 0])

const totals = {
  desktops: sum(desktops) + (sizes.get('index.html') ?? 0),
  portal: sum(portal) + (sizes.get('portal.html') ?? 0),
  session: sum(without(session, desktops)),
  page: largest[1],
}
let over = false
for (const [name, most] of Object.entries(budgets)) {
  const verdict = totals[name] > most ? 'OVER BUDGET' : 'within budget'
  over ||= totals[name] > most
  console.log(`${name}${name === 'page' ? ` (${largest[0]})` : ''}: ${totals[name]} B of ${most} B, ${verdict}`)
}
if (over) process.exit(1)
