// Addresses within the portal: #/page, #/page/subscriptions/…, and ?name=value after it.
// They are the hash, which a sign-in keeps and a server never sees.
import { useSyncExternalStore } from 'react'

export interface Route {
  /** The first word: which page. Empty for the overview. */
  page: string
  /** The id of the resource that the page is about. Empty for lists. */
  id: string
  /** Which tab, filter and so on. */
  query: URLSearchParams
}

/** Reads an address. */
export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2)
  const cut = path.indexOf('/')
  const page = cut < 0 ? path : path.slice(0, cut)
  return { page, id: cut < 0 ? '' : decodeURI(path.slice(cut)), query: new URLSearchParams(query) }
}

/** Writes an address. */
export function href(page: string, id = '', query: Record<string, string> = {}): string {
  const text = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== '')).toString()
  return `#/${page}${encodeURI(id)}${text ? '?' + text : ''}`
}

/** Questions that must be asked before an address is left: whether what was typed may be lost. */
const guards = new Set<() => boolean>()

/** Keeps the person from leaving while held() says that something typed is not saved. */
export function guard(held: () => boolean): () => void {
  guards.add(held)
  return () => guards.delete(held)
}

/** Whether something typed would be lost. */
export const unsaved = () => [...guards].some((held) => held())

/** Goes to an address. */
export function go(to: string, how: 'push' | 'replace' = 'push'): void {
  if (how === 'push') location.hash = to
  else {
    history.replaceState(null, '', to)
    dispatchEvent(new HashChangeEvent('hashchange'))
  }
}

let last: { hash: string; route: Route } | null = null

function current(): Route {
  if (last?.hash !== location.hash) last = { hash: location.hash, route: parseRoute(location.hash) }
  return last.route
}

/** The address that is shown. */
export const useRoute = (): Route =>
  useSyncExternalStore((changed) => {
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, current)

/** One value of the address, kept there so that a link leads to the same view. */
export function useQuery(name: string, otherwise = ''): [string, (value: string) => void] {
  const route = useRoute()
  const set = (value: string) => {
    const query = Object.fromEntries(current().query)
    if (value === otherwise) delete query[name]
    else query[name] = value
    go(href(current().page, current().id, query), 'replace')
  }
  return [route.query.get(name) ?? otherwise, set]
}
