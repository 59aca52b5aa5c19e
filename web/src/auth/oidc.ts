// Sign-in at the service's own issuer: authorization code with PKCE. Tokens are held in
// memory alone; a reloaded page gets new ones by the issuer's session cookie.
import { texts } from '../texts'
import { challengeOf, claimsOf, randomText } from './pkce'

/** The application id of this client (identity.DeskyardWebAppID). */
export const clientID = 'd0b5c1a7-5e0f-4c57-8f4e-6a2f93d1c7b8'

const issuer = '/organizations/oauth2/v2.0'
const pendingKey = 'deskyard.signin'

/** Renew when so much of a token's life is left, in milliseconds. */
const renewAhead = 5 * 60_000

export class SignInError extends Error {}

/** What waits for the answer, over the way to the issuer and back. */
interface Pending {
  state: string
  nonce: string
  verifier: string
  hash: string
}

export interface TokenAnswer {
  access_token: string
  refresh_token?: string
  id_token?: string
  expires_in: number
}

/** The page that the answer comes back to: the portal's for the portal, the client's for all else. */
const redirectURI = () => location.origin + (location.pathname.startsWith('/portal/') ? '/portal/' : import.meta.env.BASE_URL)
const scope = () => `${location.origin}/.default openid profile offline_access`

/** Leaves for the issuer's sign-in page. It comes back to this page, with the hash that it has now. */
export async function beginSignIn(go: (url: string) => void = (url) => location.assign(url)): Promise<void> {
  const pending: Pending = { state: randomText(), nonce: randomText(), verifier: randomText(), hash: location.hash }
  sessionStorage.setItem(pendingKey, JSON.stringify(pending))
  const query = new URLSearchParams({
    client_id: clientID, response_type: 'code', redirect_uri: redirectURI(), scope: scope(), state: pending.state, nonce: pending.nonce,
    code_challenge: await challengeOf(pending.verifier), code_challenge_method: 'S256',
  })
  go(`${issuer}/authorize?${query}`)
}

/** Reads the issuer's answer from the page's address: null where it holds none. */
export async function finishSignIn(): Promise<SignedIn | null> {
  const query = new URLSearchParams(location.search)
  if (!query.has('code') && !query.has('error')) return null
  const pending = takePending()
  history.replaceState(null, '', location.pathname + (pending?.hash ?? ''))
  if (query.has('error')) throw new SignInError(query.get('error_description') ?? query.get('error') ?? texts.signInFailed)
  if (!pending || query.get('state') !== pending.state) throw new SignInError(texts.signInState)
  const answer = await askTokens({
    grant_type: 'authorization_code', code: query.get('code') ?? '', redirect_uri: redirectURI(), code_verifier: pending.verifier,
  })
  const claims = answer.id_token ? claimsOf(answer.id_token) : {}
  if (claims['nonce'] !== pending.nonce) throw new SignInError(texts.signInState)
  return new SignedIn(answer, String(claims['preferred_username'] ?? claims['name'] ?? ''))
}

function takePending(): Pending | null {
  const text = sessionStorage.getItem(pendingKey)
  sessionStorage.removeItem(pendingKey)
  return text ? (JSON.parse(text) as Pending) : null
}

async function askTokens(form: Record<string, string>): Promise<TokenAnswer> {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST', body: new URLSearchParams({ client_id: clientID, scope: scope(), ...form }), cache: 'no-store', credentials: 'omit',
    signal: AbortSignal.timeout(30_000),
  })
  const body = (await response.json()) as TokenAnswer & { error_description?: string }
  if (!response.ok || !body.access_token) throw new SignInError(body.error_description ?? texts.signInFailed)
  return body
}

/** A person who is signed in. */
export class SignedIn {
  private access = ''
  private refresh = ''
  private until = 0
  private renewing: Promise<void> | null = null

  constructor(
    /** What the issuer answered. */
    readonly answer: TokenAnswer,
    readonly user: string,
  ) {
    this.take(answer)
  }

  /** Goes on with the tokens of another sign-in of the same person. */
  take(answer: TokenAnswer) {
    this.access = answer.access_token
    this.refresh = answer.refresh_token ?? this.refresh
    this.until = Date.now() + answer.expires_in * 1000
  }

  /** An access token that is good for some minutes; renew asks for another in any case. */
  async token(renew = false): Promise<string> {
    if (renew || Date.now() > this.until - renewAhead) await this.renew()
    return this.access
  }

  /** Renews once for all who ask meanwhile. A refusal by the issuer is a SignInError; a lost network is not. */
  private renew(): Promise<void> {
    this.renewing ??= askTokens({ grant_type: 'refresh_token', refresh_token: this.refresh })
      .then((answer) => this.take(answer))
      .finally(() => (this.renewing = null))
    return this.renewing
  }

  /** Ends the issuer's session too, and comes back signed out. */
  signOut(): void {
    this.access = this.refresh = ''
    const query = new URLSearchParams({ client_id: clientID, post_logout_redirect_uri: redirectURI() })
    sessionStorage.setItem(signedOutKey, '1')
    location.assign(`${issuer}/logout?${query}`)
  }
}

const signedOutKey = 'deskyard.signedout'

/** Whether the page was reached by signing out; asked once. */
export function cameBySignOut(): boolean {
  const came = sessionStorage.getItem(signedOutKey) !== null
  sessionStorage.removeItem(signedOutKey)
  return came
}
