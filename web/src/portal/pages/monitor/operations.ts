// The operations of the activity log in words: "Microsoft.DesktopVirtualization/hostPools/write"
// is "Create or update: host pool".
import { portalTexts } from '../../texts/en'

const t = portalTexts.monitor
const types = portalTexts.search.types

/** "retrieveRegistrationToken" as "retrieve registration token". */
const words = (name: string) => name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').toLowerCase()
const begun = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
const one = (plural: string) => plural.replace(/ies$/, 'y').replace(/s$/, '')

/** What an operation does, in words; an operation of another form stays as it is. */
export function operationInWords(operation: string): string {
  const parts = operation.split('/')
  const last = parts.pop()?.toLowerCase() ?? ''
  const verb = last === 'action' ? (parts.pop() ?? '') : (t.verbs[last] ?? last)
  const thing = parts.length > 1 && (types[parts.join('/').toLowerCase()] ?? one(parts.at(-1) ?? ''))
  return verb && thing ? begun(t.does(words(verb), words(thing))) : operation
}
