import { describe, expect, it } from 'vitest'
import { SignInError } from '../auth/oidc'
import { Api, Refused } from './client'

const answer = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers })

function service(...answers: (Response | Error)[]) {
  const seen: { path: string; init: RequestInit }[] = []
  const send = (async (path: string, init: RequestInit) => {
    seen.push({ path, init })
    const next = answers.shift()
    if (!next || next instanceof Error) throw next ?? new Error('asked too often')
    return next
  }) as typeof fetch
  return { send, seen }
}

const tokens = { token: async (renew?: boolean) => (renew ? 'new' : 'old') }
const refusal = (work: Promise<unknown>) => work.then(() => { throw new Error('it was not refused') }, (e: unknown) => e as Refused)

describe('Api', () => {
  it('renews the token once when it is refused', async () => {
    const s = service(answer(401, {}), answer(200, { workspaces: [] }))
    expect(await new Api(tokens, s.send).feed()).toEqual({ workspaces: [] })
    expect(s.seen.map((x) => (x.init.headers as Record<string, string>)['Authorization'])).toEqual(['Bearer old', 'Bearer new'])
  })

  it('passes on why there is no session, and when to try again', async () => {
    const s = service(answer(409, { code: 1, symbol: 'NoHost', message: 'None.', retryAfterSeconds: 7, correlationId: 'x' }))
    const r = await refusal(new Api(tokens, s.send).connect('/r'))
    expect(r.failure).toEqual({ code: 1, symbol: 'NoHost', message: 'None.', retryAfterSeconds: 7, correlationId: 'x' })
  })

  it('takes 202 for a host that starts, not for a session', async () => {
    const s = service(answer(202, { symbol: 'Starting', message: 'Soon.' }, { 'Retry-After': '15' }))
    expect((await refusal(new Api(tokens, s.send).connect('/r'))).failure).toMatchObject({ symbol: 'Starting', retryAfterSeconds: 15 })
  })

  it('tells a silent service and a proxy page from a refusal', async () => {
    const down = service(new TypeError('failed to fetch'))
    expect((await refusal(new Api(tokens, down.send).feed())).failure).toMatchObject({ symbol: 'NetworkUnavailable', retryAfterSeconds: 5 })
    const proxy = service(answer(502, '<html>bad gateway'))
    expect((await refusal(new Api(tokens, proxy.send).feed())).failure).toMatchObject({ symbol: 'HTTP502', retryAfterSeconds: 10 })
    const strange = service(answer(200, '<html>'))
    expect((await refusal(new Api(tokens, strange.send).feed())).failure.symbol).toBe('UnexpectedAnswer')
  })

  it('says that the sign-in has expired, and asks nothing', async () => {
    const s = service()
    const expired = { token: () => Promise.reject(new SignInError('AADSTS70000')) }
    expect((await refusal(new Api(expired, s.send).feed())).failure.symbol).toBe('SignInExpired')
    expect(s.seen).toEqual([])
  })

  it('sends its token to no other origin', async () => {
    const s = service(answer(200, 'x'))
    expect((await refusal(new Api(tokens, s.send).file('https://evil.example/x.rdp'))).failure.symbol).toBe('UnexpectedAnswer')
    expect((await refusal(new Api(tokens, s.send).file('//evil.example/x.rdp'))).failure.symbol).toBe('UnexpectedAnswer')
    expect(s.seen).toEqual([])
  })

  it('refuses a gateway that is not a WebSocket', async () => {
    const s = service(answer(201, { connectionId: 'c', ticket: 't', gateway: 'https://x', host: 'h', expires: '' }))
    expect((await refusal(new Api(tokens, s.send).connect('/r'))).failure.symbol).toBe('UnexpectedAnswer')
  })
})
