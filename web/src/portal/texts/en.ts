// Every text that an administrator reads or hears in the portal. A translation is one file
// with an object of this shape.
import { access } from './en/access'
import { add } from './en/add'
import { frame } from './en/frame'
import { hostpools } from './en/hostpools'
import { hosts } from './en/hosts'
import { monitor } from './en/monitor'
import { overview } from './en/overview'
import { publish } from './en/publish'
import { resources } from './en/resources'
import { scaling } from './en/scaling'
import { search } from './en/search'

export const portalTexts = { access, add, frame, hostpools, hosts, monitor, overview, publish, resources, scaling, search }

/** What a translation has. */
export type PortalTexts = typeof portalTexts
