// What the wizard's tabs share: what is typed, what is wrong with it, and how it is checked.
import { createContext, useCallback, useContext, useEffect, useRef, useState } from 'react'
import { useService } from '../../arm/context'
import { asArmError, type ArmError } from '../../arm/errors'
import type { AddedSessionHosts, PoolBasics } from '../../arm/types-wizard'
import { portalTexts } from '../../texts/en'
import { bodyOf, keep, kept, newDraft, noSecrets, type Draft, type Field, type Secrets } from './draft'
import { joined, ownFindings, sorted, tabs, type Found, type TabName } from './findings'

const t = portalTexts.add
const ownTexts = { differ: t.differ, choose: (field: string) => t.choose((t.fields as Record<string, string>)[field] ?? field) }

/** What became of the last check. */
export interface Check {
  busy: boolean
  /** What was checked: compared to tell whether the answer is of what is typed now. */
  of: string
  answer: AddedSessionHosts | null
  /** Why there is no answer, other than by findings at fields. */
  error: ArmError | null
  found: Found[]
}

const unchecked: Check = { busy: false, of: '', answer: null, error: null, found: [] }

export interface Wizard {
  pool: PoolBasics
  draft: Draft
  secrets: Secrets
  set: (change: Partial<Draft>) => void
  setSecret: (name: keyof Secrets, value: string) => void
  /** What is wrong with a field; nothing while it is being corrected. */
  finding: (field: Field) => string | undefined
  /** Findings of the tabs that were left, and of all on the last one. */
  found: Found[]
  check: Check
  /** Whether the last check was of what is typed now and found nothing. */
  passed: boolean
  validate: () => void
  restart: () => void
}

export const WizardContext = createContext<Wizard | null>(null)

/** The wizard around a tab. */
export function useWizard(): Wizard {
  const w = useContext(WizardContext)
  if (!w) throw new Error('useWizard outside of the wizard')
  return w
}

/** What is typed: kept for the session, but for the secrets. */
function useTyped(pool: string) {
  const [draft, setDraft] = useState<Draft>(() => kept(pool) ?? newDraft(pool))
  const [secrets, setSecrets] = useState<Secrets>(noSecrets)
  const [edited, setEdited] = useState<ReadonlySet<string>>(new Set())
  const set = useCallback(
    (change: Partial<Draft>) => {
      setDraft((d) => {
        const next = { ...d, ...change }
        keep(pool, next)
        return next
      })
      setEdited((e) => new Set([...e, ...Object.keys(change)]))
    },
    [pool],
  )
  const setSecret = useCallback((name: keyof Secrets, value: string) => {
    setSecrets((s) => ({ ...s, [name]: value }))
    setEdited((e) => new Set([...e, name]))
  }, [])
  const restart = useCallback(() => {
    keep(pool, null)
    setDraft(newDraft(pool))
    setSecrets(noSecrets)
  }, [pool])
  return { draft, secrets, set, setSecret, edited, setEdited, restart }
}

/** Runs the wizard of a pool; tab is the one that is shown. */
export function useWizardOf(pool: PoolBasics, tab: TabName): Wizard {
  const { arm } = useService()
  const { draft, secrets, set, setSecret, edited, setEdited, restart } = useTyped(pool.id)
  const [check, setCheck] = useState<Check>(unchecked)
  const [left, setLeft] = useState<ReadonlySet<TabName>>(new Set())
  const now = JSON.stringify(bodyOf(draft, secrets))
  const turn = useRef(0)

  const validate = useCallback(() => {
    const mine = ++turn.current
    const own = ownFindings(draft, secrets, ownTexts)
    setEdited(new Set())
    setCheck((c) => ({ ...c, busy: true, of: now }))
    arm.post<AddedSessionHosts>(`${pool.id}/validateSessionHosts`, JSON.parse(now)).then(
      (answer) => turn.current === mine && setCheck({ busy: false, of: now, answer, error: null, found: own }),
      (thrown: unknown) => {
        if (turn.current !== mine) return
        const error = asArmError(thrown)
        const { found, others } = sorted(error)
        setCheck({ busy: false, of: now, answer: null, error: found.length > 0 && others.length === 0 ? null : error, found: joined(own, found, Object.keys(t.fields)) })
      },
    )
  }, [arm, pool.id, draft, secrets, now, setEdited])

  const before = useRef(tab)
  useEffect(() => {
    const was = before.current
    before.current = tab
    if (was !== tab || tab === 'review') setLeft((l) => new Set([...l, ...(tab === 'review' ? tabs : [was])]))
    if ((was !== tab && was !== 'basics') || tab === 'review') validate()
    // Only the change of tabs counts here, not what is typed.
  }, [tab])

  const found = check.found.filter((f) => left.has(f.tab) && !edited.has(f.field))
  const again = () => {
    turn.current++
    setCheck(unchecked)
    setLeft(new Set())
    restart()
  }
  return {
    pool, draft, secrets, set, setSecret, found, check, validate, restart: again,
    finding: (field) => found.find((f) => f.field === field)?.message,
    passed: !check.busy && check.answer !== null && check.found.length === 0 && check.of === now,
  }
}
