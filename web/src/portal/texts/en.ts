// Every text that an administrator reads or hears in the portal. A translation is one file
// with an object of this shape.
import { frame } from './en/frame'

export const portalTexts = { frame }

/** What a translation has. */
export type PortalTexts = typeof portalTexts
