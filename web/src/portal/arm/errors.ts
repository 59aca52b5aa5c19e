import { portalTexts } from '../texts/en'

/** One finding of the service: of a field, where target names one. */
export interface Finding {
  code: string
  message: string
  target?: string
  details?: Finding[]
}

/** What the service refused, or what kept a request from it. */
export class ArmError extends Error {
  constructor(
    /** HTTP status; 0 where no answer came. */
    readonly status: number,
    readonly code: string,
    message: string,
    readonly more: { target?: string; details?: Finding[]; correlationID?: string; retryAfter?: number } = {},
  ) {
    super(message)
    this.name = 'ArmError'
  }

  /** All findings, of the whole and of its fields. */
  get findings(): Finding[] {
    const flat = (list: Finding[]): Finding[] => list.flatMap((f) => [f, ...flat(f.details ?? [])])
    const own: Finding = { code: this.code, message: this.message, ...(this.more.target ? { target: this.more.target } : {}) }
    return [own, ...flat(this.more.details ?? [])]
  }

  /** Whether the network was lost: nothing was decided. */
  get lost(): boolean {
    return this.status === 0
  }

  /** Whether it says nothing of what was asked for: no answer came, or the service could not give one then. */
  get passing(): boolean {
    return this.lost || this.status === 429 || this.status >= 500
  }

  /** Whether somebody else changed the thing meanwhile. */
  get conflict(): boolean {
    return this.status === 412
  }

  /** The permission and the scope that a refusal names: empty for other errors. */
  get missing(): { action: string; scope: string } | null {
    if (this.status !== 403) return null
    const found = /perform action '([^']+)' over scope '([^']*)'/.exec(this.message)
    return found ? { action: found[1] ?? '', scope: found[2] ?? '' } : null
  }
}

/** The sign-in's end; the frame asks for another one and what was typed stays. */
export class SignInExpired extends ArmError {
  constructor() {
    super(401, 'SignInExpired', portalTexts.frame.signInExpired)
  }
}

/** Reads an error answer of Azure Resource Manager. */
export function errorOf(status: number, body: unknown, headers: Headers): ArmError {
  const error = (body as { error?: Finding } | null)?.error
  const more: ArmError['more'] = {}
  const correlationID = headers.get('x-ms-correlation-request-id')
  const retryAfter = Number(headers.get('Retry-After'))
  if (error?.target) more.target = error.target
  if (error?.details) more.details = error.details
  if (correlationID) more.correlationID = correlationID
  if (retryAfter > 0) more.retryAfter = retryAfter
  return new ArmError(status, error?.code ?? `Status${status}`, error?.message ?? portalTexts.frame.noReason(status), more)
}

/** Whatever was thrown, as an ArmError. */
export function asArmError(thrown: unknown): ArmError {
  if (thrown instanceof ArmError) return thrown
  return new ArmError(0, 'Unexpected', thrown instanceof Error ? thrown.message : String(thrown))
}
