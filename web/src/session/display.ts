import type { Failure, Grant } from '../api/types'
import type { Prefs } from '../prefs'
import type { Size } from './size'

/** How a connection ended: the host closed it in order, or it was lost. */
export interface End {
  orderly: boolean
  text: string
}

/** A connection that shows a desktop. */
export interface Live {
  /** Resolves when the connection is over, however it ended. */
  readonly ended: Promise<End>
  /** Asks the host for another size; false: it only stretches, and a new connection is needed. */
  resize(size: Size): Promise<boolean>
  close(): void
  focus(): void
  ctrlAltDel(): void
  windowsKey(): void
  setScale(scale: Prefs['scale']): void
  setKeyboard(mode: Prefs['keyboard']): void
  sendClipboard(): Promise<void>
  fetchClipboard(): Promise<void>
}

/** A way to show desktops inside an element of the page. */
export interface Display {
  /** Connects and shows the desktop in box; what box showed before stays until then. Fails with an OpenError. */
  open(box: HTMLElement, grant: Grant, size: Size, name: string): Promise<Live>
}

/** Why a connection did not come to be. */
export class OpenError extends Error {
  constructor(readonly failure: Failure) {
    super(failure.message)
    this.name = 'OpenError'
  }
}
