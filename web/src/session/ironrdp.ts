// The display by IronRDP: RDP inside the browser, RDCleanPath to the gateway.
import '@devolutions/iron-remote-desktop'
import type { IronError, UserInteraction } from '@devolutions/iron-remote-desktop'
import { Backend, displayControl, enableCredssp, init } from '@devolutions/iron-remote-desktop-rdp'
import type { Failure, Grant } from '../api/types'
import { prefs, type Prefs } from '../prefs'
import { texts } from '../texts'
import { OpenError, type Display, type End, type Live } from './display'
import { withLayout } from './layouts'
import { sameSize, type Size } from './size'

/** The clipboard's service starts beside the element; connecting sooner leaves the channel out. Milliseconds. */
const clipboardHeadStart = 600

/** How long a host may take to follow a new size, in milliseconds. */
const resizePatience = 2500

const scales = { fit: 1, full: 2, real: 3 } as const

interface Element extends HTMLElement {
  module: typeof Backend
}

let compiled: Promise<unknown> | null = null

/** Makes the display; the WebAssembly is compiled once. */
export async function ironDisplay(): Promise<Display> {
  compiled ??= init('WARN')
  try {
    await compiled
  } catch (error) {
    compiled = null
    throw error
  }
  return { open }
}

async function open(box: HTMLElement, grant: Grant, size: Size, name: string): Promise<Live> {
  const before = [...box.children]
  const element = document.createElement('iron-remote-desktop') as Element
  element.setAttribute('scale', prefs().scale)
  element.setAttribute('flexcenter', 'true')
  element.setAttribute('verbose', 'false')
  element.module = Backend
  const ready = new Promise<UserInteraction>((resolve) =>
    element.addEventListener('ready', (e) => resolve((e as CustomEvent<{ irgUserInteraction: UserInteraction }>).detail.irgUserInteraction), { once: true }),
  )
  box.append(element)
  try {
    const ui = await ready
    await new Promise((resolve) => setTimeout(resolve, clipboardHeadStart))
    ui.setEnableClipboard(true)
    const config = ui
      .configBuilder()
      .withUsername('').withPassword('').withServerDomain('') // the gateway puts a one-time credential in their place
      .withDestination(grant.host || grant.connectionId)
      .withProxyAddress(withLayout(grant.gateway, prefs().layout, navigator.languages))
      .withAuthToken(grant.ticket)
      .withDesktopSize(size)
      .withExtension(displayControl(true))
      .withExtension(enableCredssp(true))
      .build()
    const session = await ui.connect(config)
    const ended = session.run().then(
      (info): End => ({ orderly: true, text: info.reason() }),
      (error: unknown): End => endOf(error),
    )
    before.forEach((old) => old.remove())
    ui.setVisibility(true)
    ui.setKeyboardUnicodeMode(prefs().keyboard === 'unicode')
    return live(element, ui, ended, name)
  } catch (error) {
    element.remove()
    throw error instanceof OpenError ? error : new OpenError(failureOf(error))
  }
}

function live(element: Element, ui: UserInteraction, ended: Promise<End>, name: string): Live {
  const canvas = element.shadowRoot?.querySelector('canvas') ?? null
  let over = false
  void ended.then(() => (over = true))
  canvas?.setAttribute('role', 'application')
  canvas?.setAttribute('aria-label', texts.screen(name))
  return {
    ended,
    async resize(size) {
      ui.resize(size.width, size.height)
      const deadline = performance.now() + resizePatience
      while (performance.now() < deadline) {
        if (canvas && sameSize(canvas, size)) return true
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      return false
    },
    close() {
      if (over) return // the client throws when it is asked to end what has ended
      over = true
      ui.shutdown()
    },
    focus: () => canvas?.focus({ preventScroll: true }),
    ctrlAltDel: () => ui.ctrlAltDel(),
    windowsKey: () => ui.metaKey(),
    setScale: (scale: Prefs['scale']) => ui.setScale(scales[scale] as Parameters<UserInteraction['setScale']>[0]),
    setKeyboard: (mode) => ui.setKeyboardUnicodeMode(mode === 'unicode'),
    sendClipboard: () => ui.sendClipboardData(),
    fetchClipboard: () => ui.saveRemoteClipboardData(),
  }
}

const isIron = (error: unknown): error is IronError => typeof (error as IronError | null)?.kind === 'function'

const textOf = (error: unknown) => (isIron(error) ? error.backtrace() : String(error))

/** A host that disconnects in order does so with an ultimatum, which the client reports as an error. */
function endOf(error: unknown): End {
  const text = textOf(error)
  console.info('deskyard: the session ended:', text) // for whoever supports the person
  return { orderly: /ultimatum|UserRequested|logoff|disconnected by/i.test(text), text }
}

function failureOf(error: unknown): Failure {
  const symbols = ['Broken', 'WrongPassword', 'LogonFailure', 'AccessDenied', 'Gateway', 'GatewayUnreachable', 'Negotiation']
  const kind = isIron(error) ? error.kind() : 0
  const symbol = 'Client' + (symbols[kind] ?? 'Broken')
  const details = isIron(error) ? error.rdcleanpathDetails() : undefined
  const status = details?.httpStatusCode
  const known: Record<number, Failure> = {
    1: { symbol, message: texts.failures.signOn },
    2: { symbol, message: texts.failures.signOn },
    3: { symbol, message: texts.failures.signOn },
    4: status === 401 || status === 403
      ? { symbol, message: texts.failures.ticket, retryAfterSeconds: 2 }
      : { symbol, message: texts.failures.gateway, retryAfterSeconds: 10 },
    5: { symbol, message: texts.failures.network, retryAfterSeconds: 5 },
    6: { symbol, message: texts.failures.negotiation },
  }
  return known[kind] ?? { symbol, message: `${texts.failures.client} (${textOf(error).split('\n')[0]})`, retryAfterSeconds: 5 }
}
