/** Tries before a connection that was lost, or a host that does not come, is given up. */
export const mostAttempts = 30

/** Seconds until the nth try (from 1) after a loss: 1, 2, 4 … 30, spread by a fifth so that a gateway's clients do not return all at once. */
export function delayAfterLoss(attempt: number, random: () => number = Math.random): number {
  const base = Math.min(30, 2 ** (attempt - 1))
  return base * (0.8 + 0.4 * random())
}
