// The operations of the activity log in words: "Microsoft.DesktopVirtualization/hostPools/write"
// is "Create or update a host pool".
import { portalTexts } from '../../texts/en'

const t = portalTexts.monitor

/** "retrieveRegistrationToken" as "retrieve registration token". */
const words = (name: string) => name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').toLowerCase()
const begun = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
const one = (plural: string) => plural.replace(/ies$/, 'y').replace(/s$/, '')

/** What an operation does, in words; an operation of another form stays as it is. */
export function operationInWords(operation: string): string {
  const [, ...path] = operation.split('/')
  const verb = path.pop()?.toLowerCase() ?? ''
  const doing = verb === 'action' ? words(path.pop() ?? '') : (t.verbs[verb] ?? '')
  const thing = path.at(-1)
  return doing && thing ? begun(t.does(doing, words(one(thing)))) : operation
}
