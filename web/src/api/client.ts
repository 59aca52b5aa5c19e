import { SignInError } from '../auth/oidc'
import { texts } from '../texts'
import type { Failure, Feed, Grant, Progress } from './types'

/** A refusal of the service, or its silence. */
export class Refused extends Error {
  constructor(
    readonly failure: Failure,
    readonly status: number,
  ) {
    super(failure.message)
    this.name = 'Refused'
  }
}

/** Gives the bearer token; after a refused one, renew asks for another. */
export interface Tokens {
  token(renew?: boolean): Promise<string>
}

/** How long the service may take to answer, in milliseconds: deciding may wait for a host. */
const patience = 60_000

/** The users' door of the service. */
export class Api {
  constructor(
    private readonly tokens: Tokens,
    private readonly send: typeof fetch = (...a) => fetch(...a),
  ) {}

  async feed(): Promise<Feed> {
    const feed = await this.json<Feed>('GET', '/connect/v1/feed')
    if (!Array.isArray(feed.workspaces)) throw unexpected(200)
    return feed
  }

  /** Asks for a session of a resource. A host that has to start first is a Refused with a time to try again. */
  async connect(resourceId: string): Promise<Grant> {
    const grant = await this.json<Grant>('POST', '/connect/v1/connections', { resourceId, client: describeClient() })
    if (!grant.ticket || !/^wss?:\/\//.test(grant.gateway)) throw unexpected(201)
    return grant
  }

  progress(connectionId: string): Promise<Progress> {
    return this.json<Progress>('GET', '/connect/v1/connections/' + encodeURIComponent(connectionId))
  }

  /** The connection file of a resource, at the path that the feed gave. */
  async file(path: string): Promise<Blob> {
    return (await this.request('GET', ownPath(path))).blob()
  }

  private async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.request(method, path, body)
    try {
      return (await response.json()) as T
    } catch {
      throw unexpected(response.status)
    }
  }

  private async request(method: string, path: string, body?: unknown): Promise<Response> {
    let response = await this.once(method, path, body, false)
    if (response.status === 401) response = await this.once(method, path, body, true)
    if (response.ok && response.status !== 202) return response
    throw new Refused(await failureOf(response), response.status)
  }

  private async once(method: string, path: string, body: unknown, renew: boolean): Promise<Response> {
    const headers: Record<string, string> = { Authorization: 'Bearer ' + (await this.bearer(renew)), Accept: 'application/json' }
    if (body !== undefined) headers['Content-Type'] = 'application/json'
    const init: RequestInit = { method, headers, cache: 'no-store', signal: AbortSignal.timeout(patience) }
    if (body !== undefined) init.body = JSON.stringify(body)
    try {
      return await this.send(path, init)
    } catch {
      throw silence()
    }
  }

  private async bearer(renew: boolean): Promise<string> {
    try {
      return await this.tokens.token(renew)
    } catch (error) {
      if (!(error instanceof SignInError)) throw silence()
      throw new Refused({ symbol: 'SignInExpired', message: texts.signInExpired }, 401)
    }
  }
}

const silence = () => new Refused({ symbol: 'NetworkUnavailable', message: texts.failures.network, retryAfterSeconds: 5 }, 0)

function unexpected(status: number): Refused {
  return new Refused({ symbol: 'UnexpectedAnswer', message: texts.failures.unexpected }, status)
}

/** A path that the service named, which must lead back to it and nowhere else. */
function ownPath(path: string): string {
  const url = new URL(path, location.origin)
  if (url.origin !== location.origin) throw unexpected(200)
  return url.pathname + url.search
}

async function failureOf(response: Response): Promise<Failure> {
  const header = Number(response.headers.get('Retry-After'))
  const retry = Number.isFinite(header) && header > 0 ? { retryAfterSeconds: header } : {}
  try {
    const body = (await response.json()) as Partial<Failure>
    if (typeof body.message === 'string' && body.message) return { ...retry, ...body, symbol: body.symbol ?? 'HTTP' + response.status, message: body.message }
  } catch {
    // Not JSON: a proxy's page, or nothing. The status is all there is to say.
  }
  const message = response.status >= 500 ? texts.failures.network : texts.failures.unexpected
  return { symbol: 'HTTP' + response.status, message, ...(response.status >= 500 ? { retryAfterSeconds: 10 } : {}), ...retry }
}

/** What the service may know of this client. */
function describeClient() {
  const system = /Windows|Android|iPhone|iPad|Mac OS X|CrOS|Linux/.exec(navigator.userAgent)?.[0] ?? ''
  return { name: 'browser', os: system, type: 'Deskyard web client' }
}
