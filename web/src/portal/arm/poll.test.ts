import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Answer, Arm } from './arm'
import { ArmError } from './errors'
import { finished } from './poll'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const answer = (status: number, headers: Record<string, string>, body: unknown = null): Answer<unknown> => ({ status, body, etag: '', headers: new Headers(headers) })
const begun = answer(202, { 'Azure-AsyncOperation': 'https://service.example/operations/1' })
const at = (status: string, error?: unknown) => answer(200, {}, { status, ...(error ? { error } : {}) })

/** Looks find these one after another. */
function looks(found: (Answer<unknown> | Error)[]) {
  const send = vi.fn(() => {
    const next = found.shift()!
    return next instanceof Error ? Promise.reject(next) : Promise.resolve(next)
  })
  return { arm: { send } as unknown as Arm, send }
}

async function outcome(arm: Arm, first: Answer<unknown>) {
  const ended = finished(arm, first).then(
    () => 'done',
    (error: ArmError) => error.code,
  )
  await vi.runAllTimersAsync()
  return ended
}

test('what began nothing has ended', async () => {
  const { arm, send } = looks([])
  expect(await outcome(arm, answer(200, {}))).toBe('done')
  expect(send).not.toHaveBeenCalled()
})

test('an operation is looked at until it has ended, whatever is between', async () => {
  const lost = new ArmError(0, 'ConnectionLost', 'lost')
  const { arm, send } = looks([at('Running'), lost, lost, new ArmError(503, 'ServiceUnavailable', 'not now'), new ArmError(429, 'TooManyRequests', 'slower'), at('Running'), at('Succeeded')])
  expect(await outcome(arm, begun)).toBe('done')
  expect(send).toHaveBeenCalledTimes(7)
})

test('why an operation failed is told', async () => {
  const { arm } = looks([at('Running'), at('Failed', { code: 'SessionHostUnreachable', message: 'repeat with force' })])
  expect(await outcome(arm, begun)).toBe('SessionHostUnreachable')
})

test('an operation that may not be looked at is told', async () => {
  const { arm } = looks([new ArmError(403, 'AuthorizationFailed', 'no')])
  expect(await outcome(arm, begun)).toBe('AuthorizationFailed')
})

test('a location is looked at until it answers other than 202', async () => {
  const { arm, send } = looks([answer(202, {}), new ArmError(0, 'ConnectionLost', 'lost'), answer(204, {})])
  expect(await outcome(arm, answer(202, { Location: 'https://service.example/results/1' }))).toBe('done')
  expect(send).toHaveBeenCalledTimes(3)
})
