import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { SignInError, beginSignIn, clientID, finishSignIn } from './oidc'
import { challengeOf } from './pkce'

const idToken = (claims: object) => 'h.' + btoa(JSON.stringify(claims)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '') + '.s'

let forms: URLSearchParams[] = []

function issuer(...answers: { status: number; body: object }[]) {
  forms = []
  vi.stubGlobal('fetch', async (_: string, init: RequestInit) => {
    forms.push(init.body as URLSearchParams)
    const next = answers.shift() ?? { status: 500, body: {} }
    return new Response(JSON.stringify(next.body), { status: next.status })
  })
}

/** Begins, and returns to the page as the issuer would. */
async function away(back: Record<string, string> = {}): Promise<URL> {
  let to = ''
  await beginSignIn((url) => (to = url))
  const asked = new URL(to, location.origin)
  history.replaceState(null, '', '/web/?' + new URLSearchParams({ code: 'c0de', state: asked.searchParams.get('state') ?? '', ...back }))
  return asked
}

const tokensFor = (asked: URL, more: object = {}) => ({
  status: 200, body: { access_token: 'a1', refresh_token: 'r1', expires_in: 3600, id_token: idToken({ nonce: asked.searchParams.get('nonce'), preferred_username: 'ann@x' }), ...more },
})

beforeEach(() => {
  sessionStorage.clear()
  history.replaceState(null, '', '/web/')
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

describe('sign-in', () => {
  it('makes the challenge of RFC 7636, appendix B', async () => {
    expect(await challengeOf('dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk')).toBe('E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM')
  })

  it('exchanges the code with the verifier that belongs to the challenge', async () => {
    const asked = await away()
    issuer(tokensFor(asked))
    const who = await finishSignIn()
    expect(who?.user).toBe('ann@x')
    expect(await who?.token()).toBe('a1')
    expect(asked.searchParams.get('client_id')).toBe(clientID)
    expect(await challengeOf(forms[0]?.get('code_verifier') ?? '')).toBe(asked.searchParams.get('code_challenge'))
    expect(location.search).toBe('')
    expect(JSON.stringify([localStorage, sessionStorage])).not.toContain('a1')
  })

  it('takes no answer of another tab, of nobody, or with another nonce', async () => {
    await away({ state: 'forged' })
    issuer()
    await expect(finishSignIn()).rejects.toThrow(SignInError)
    history.replaceState(null, '', '/web/?code=x&state=undefined')
    await expect(finishSignIn()).rejects.toThrow(SignInError)
    expect(forms).toEqual([])
    const asked = await away()
    issuer(tokensFor(asked, { id_token: idToken({ nonce: 'other' }) }))
    await expect(finishSignIn()).rejects.toThrow(SignInError)
  })

  it('says what the issuer says', async () => {
    await away({ error: 'access_denied', error_description: 'AADSTS: no' })
    await expect(finishSignIn()).rejects.toThrow('AADSTS: no')
  })

  it('comes back to the place in the page that it left', async () => {
    history.replaceState(null, '', '/web/#/open/x')
    const asked = await away()
    issuer(tokensFor(asked))
    await finishSignIn()
    expect(location.hash).toBe('#/open/x')
  })

  it('renews shortly before the end, once for all who ask', async () => {
    vi.useFakeTimers()
    const asked = await away()
    issuer(tokensFor(asked), { status: 200, body: { access_token: 'a2', refresh_token: 'r2', expires_in: 3600 } })
    const who = await finishSignIn()
    expect(await who?.token()).toBe('a1')
    vi.setSystemTime(Date.now() + 3_400_000)
    expect(await Promise.all([who?.token(), who?.token(), who?.token()])).toEqual(['a2', 'a2', 'a2'])
    expect(forms.map((f) => f.get('grant_type'))).toEqual(['authorization_code', 'refresh_token'])
    expect(forms[1]?.get('refresh_token')).toBe('r1')
  })
})
