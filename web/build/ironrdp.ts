// What the build changes in the RDP packages, so that a strict Content-Security-Policy
// holds. Each change fails the build when the packages no longer look as expected.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Plugin } from 'vite'

const wasmURL = /"data:application\/wasm;base64,([A-Za-z0-9+/=]+)"/
const adoptStyle = 'const n = document.createElement("style");\n      n.id = e.hash, n.textContent = e.code, r.appendChild(n);'
const setStyle = 't.setAttribute(e, i));\n}'

/** Cuts the WebAssembly out of its data URL into a file of its own, which browsers cache and compile while it arrives. */
function cutWasm(code: string, folder: string): string {
  const found = wasmURL.exec(code)
  if (!found?.[1]) throw new Error('iron-remote-desktop-rdp: its WebAssembly is no longer a data URL')
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'ironrdp.wasm')
  writeFileSync(file, Buffer.from(found[1], 'base64'))
  return `import wasmURL from ${JSON.stringify(file + '?url')};\n` + code.replace(wasmURL, 'wasmURL')
}

/** Makes the element style itself through the object model, which the policy leaves alone, instead of markup. */
function styleByObjects(code: string): string {
  if (!code.includes(adoptStyle) || !code.includes(setStyle)) {
    throw new Error('iron-remote-desktop: it no longer styles itself as the build knows it')
  }
  return code
    .replace(adoptStyle, 'const n = new CSSStyleSheet();\n      n.replaceSync(e.code); i.adoptedStyleSheets = [...i.adoptedStyleSheets, n];')
    .replace(setStyle, 'e === "style" ? (t.style.cssText = i) : t.setAttribute(e, i));\n}')
}

/** The plug-in for Vite; folder is where the cut-out file may lie. */
export function ironrdp(folder: string): Plugin {
  return {
    name: 'deskyard-ironrdp',
    enforce: 'pre',
    transform(code, id) {
      if (id.endsWith('/iron-remote-desktop-rdp.js')) return { code: cutWasm(code, folder), map: null }
      if (id.endsWith('/iron-remote-desktop.js')) return { code: styleByObjects(code), map: null }
      return null
    },
  }
}
