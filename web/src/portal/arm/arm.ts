// The management API, as any client of it: a token, JSON, pages, etags, errors.
import { SignInError, type SignedIn } from '../../auth/oidc'
import { portalTexts } from '../texts/en'
import { ArmError, SignInExpired, errorOf } from './errors'
import { versionFor } from './versions'

/** A request is given up after this time; the service ends its own sooner. */
const timeout = 60_000

export interface Options {
  /** The etag that the thing must still have; '*' for any, that is for a thing that is there. */
  ifMatch?: string
  /** '*': only if there is no such thing yet. */
  ifNoneMatch?: string
  signal?: AbortSignal
}

export interface Answer<T> {
  status: number
  body: T
  etag: string
  headers: Headers
}

interface Page<T> {
  value: T[]
  nextLink?: string | null
  '@odata.nextLink'?: string
}

/** One signed-in person's way to the management API. */
export class Arm {
  /** Called when the sign-in cannot be renewed; resolves when there is a new one, rejects when the person declines. */
  onExpired: () => Promise<void> = () => Promise.reject(new SignInExpired())

  constructor(readonly who: SignedIn) {}

  /** Sends one request. The path gets its api-version where it has none. */
  async send<T>(method: string, path: string, body?: unknown, o: Options = {}): Promise<Answer<T>> {
    const response = await this.attempt(method, path, body, o, false)
    if (response.status !== 401) return read<T>(response)
    return read<T>(await this.attempt(method, path, body, o, true))
  }

  private async attempt(method: string, path: string, body: unknown, o: Options, renew: boolean): Promise<Response> {
    const headers: Record<string, string> = { Accept: 'application/json', Authorization: `Bearer ${await this.token(renew)}` }
    if (body !== undefined) headers['Content-Type'] = 'application/json'
    if (o.ifMatch) headers['If-Match'] = o.ifMatch
    if (o.ifNoneMatch) headers['If-None-Match'] = o.ifNoneMatch
    const signals = [AbortSignal.timeout(timeout), ...(o.signal ? [o.signal] : [])]
    try {
      return await fetch(withVersion(path), {
        method, headers, cache: 'no-store', credentials: 'omit', signal: AbortSignal.any(signals), ...(body !== undefined ? { body: JSON.stringify(body) } : {}),
      })
    } catch (error) {
      if (o.signal?.aborted) throw error
      throw new ArmError(0, 'ConnectionLost', portalTexts.frame.connectionLost)
    }
  }

  private async token(renew: boolean): Promise<string> {
    try {
      return await this.who.token(renew)
    } catch (error) {
      if (!(error instanceof SignInError)) throw new ArmError(0, 'ConnectionLost', portalTexts.frame.connectionLost)
      await this.onExpired()
      return this.who.token()
    }
  }

  async get<T>(path: string, o?: Options): Promise<T> {
    return (await this.send<T>('GET', path, undefined, o)).body
  }

  async post<T>(path: string, body?: unknown, o?: Options): Promise<T> {
    return (await this.send<T>('POST', path, body, o)).body
  }

  async put<T>(path: string, body: unknown, o?: Options): Promise<T> {
    return (await this.send<T>('PUT', path, body, o)).body
  }

  async patch<T>(path: string, body: unknown, o?: Options): Promise<T> {
    return (await this.send<T>('PATCH', path, body, o)).body
  }

  async remove(path: string, o?: Options): Promise<Answer<unknown>> {
    return this.send('DELETE', path, undefined, o)
  }

  /** The pages of a list, as they come. */
  async *pages<T>(path: string, o?: Options): AsyncGenerator<T[]> {
    for (let next: string | null | undefined = path; next; ) {
      const page: Page<T> = await this.get<Page<T>>(ownPath(next), o)
      yield page.value
      next = page.nextLink ?? page['@odata.nextLink']
    }
  }

  /** A whole list. */
  async list<T>(path: string, o?: Options): Promise<T[]> {
    const all: T[] = []
    for await (const page of this.pages<T>(path, o)) all.push(...page)
    return all
  }
}

async function read<T>(response: Response): Promise<Answer<T>> {
  const text = await response.text()
  let body: unknown = null
  try {
    body = text === '' ? null : JSON.parse(text)
  } catch {
    throw new ArmError(response.status, 'NotJSON', portalTexts.frame.noReason(response.status))
  }
  if (response.status === 401) throw new SignInExpired()
  if (!response.ok) throw errorOf(response.status, body, response.headers)
  return { status: response.status, body: body as T, etag: response.headers.get('ETag') ?? '', headers: response.headers }
}

/** Links of the service are absolute; the portal asks its own origin only. */
export function ownPath(link: string): string {
  const url = new URL(link, location.origin)
  return url.pathname + url.search
}

/** The directory's door, which has Microsoft Graph's form. */
export const graph = '/graph/v1.0'

function withVersion(path: string): string {
  if (path.startsWith(graph) || /[?&]api-version=/i.test(path)) return path
  return path + (path.includes('?') ? '&' : '?') + 'api-version=' + versionFor(path)
}
