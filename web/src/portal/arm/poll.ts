import { ownPath, type Answer, type Arm } from './arm'
import { ArmError, type Finding } from './errors'

interface Operation {
  status?: string
  error?: Finding
  properties?: unknown
}

/** Longest pause between two looks, in milliseconds. */
const longest = 10_000

/**
 * Waits until what an answer began has ended: by its Azure-AsyncOperation, or by its
 * Location until that answers other than 202. An answer that began nothing ends at once. A
 * look that gets no answer, or one that the service cannot give now, says nothing of what
 * was begun: the next look is later.
 */
export async function finished(arm: Arm, answer: Answer<unknown>, signal?: AbortSignal): Promise<void> {
  const operation = answer.headers.get('Azure-AsyncOperation')
  const location = answer.headers.get('Location')
  if (!operation && !(location && answer.status === 202)) return
  let pause = pauseOf(answer, 500)
  for (;;) {
    await later(pause, signal)
    const next = Math.min(pause * 1.5, longest)
    const look = await arm.send<Operation>('GET', ownPath(operation ?? location ?? ''), undefined, signal ? { signal } : {}).catch((error: unknown) => {
      if (error instanceof ArmError && error.passing) return null
      throw error
    })
    if (!look) {
      pause = next
      continue
    }
    if (operation) {
      const state = look.body?.status ?? 'Succeeded'
      if (state === 'Failed' || state === 'Canceled') {
        const e = look.body?.error
        throw new ArmError(look.status, e?.code ?? state, e?.message ?? state, e?.details ? { details: e.details } : {})
      }
      if (state === 'Succeeded') return
    } else if (look.status !== 202) return
    pause = pauseOf(look, next)
  }
}

function pauseOf(a: Answer<unknown>, otherwise: number): number {
  const seconds = Number(a.headers.get('Retry-After'))
  return seconds > 0 ? Math.min(seconds * 1000, longest) : otherwise
}

/** Resolves after a time; rejects when the signal says stop. */
export function later(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason as Error)
    }
    if (signal?.aborted) return reject(signal.reason as Error)
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })
}
