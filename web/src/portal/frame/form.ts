// What a person types, apart from what the service has: it survives reloads of the
// service's side, lost connections and conflicts.
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { useService } from '../arm/context'
import { ArmError, asArmError, type Finding } from '../arm/errors'
import { guard } from '../router'
import { act } from './notifications'

/** A form's values by name. */
export type Values = Record<string, unknown>

export interface Form<V extends Values> {
  values: V
  set: <K extends keyof V>(name: K, value: V[K]) => void
  /** Names of the values that differ from what the service has. */
  changed: (keyof V)[]
  reset: () => void
  /** Forgets values that the service has now; what was typed since they were sent stays. */
  saved: (sent: Partial<V>) => void
  /** The finding of a field, by its name or the end of a target such as properties.maxSessionLimit. */
  finding: (name: keyof V & string) => string | undefined
  show: (error: ArmError | null) => void
  error: ArmError | null
}

const equal = (a: unknown, b: unknown) => a === b || JSON.stringify(a) === JSON.stringify(b)

/** The finding among some that is a field's. */
export function findingOf(findings: Finding[], name: string): string | undefined {
  const last = (target: string) => target.split(/[./]/).at(-1)?.toLowerCase()
  return findings.find((f) => f.target !== undefined && last(f.target) === name.toLowerCase())?.message
}

/** What the service found wrong with a form at its last try, field by field. */
export function useFindings() {
  const [error, show] = useState<ArmError | null>(null)
  return { show, finding: (name: string) => (error ? findingOf(error.findings, name) : undefined) }
}

/** Keeps what is typed over a base that may change beneath it. */
export function useForm<V extends Values>(base: V): Form<V> {
  const [typed, setTyped] = useState<Partial<V>>({})
  const [error, setError] = useState<ArmError | null>(null)
  const values = useMemo(() => ({ ...base, ...typed }), [base, typed])
  const changed = (Object.keys(typed) as (keyof V)[]).filter((k) => !equal(typed[k], base[k]))
  const held = changed.length > 0
  useEffect(() => (held ? guard(() => true) : undefined), [held])
  const set = useCallback(<K extends keyof V>(name: K, value: V[K]) => setTyped((t) => ({ ...t, [name]: value })), [])
  const reset = useCallback(() => {
    setTyped({})
    setError(null)
  }, [])
  const saved = useCallback((sent: Partial<V>) => {
    setTyped((t) => Object.fromEntries(Object.entries(t).filter(([k, v]) => !(k in sent) || !equal(v, sent[k]))) as Partial<V>)
    setError(null)
  }, [])
  return { values, set, changed, reset, saved, finding: (name) => error && findingOf(error.findings, name), show: setError, error } as Form<V>
}

/** One value that two people changed. */
export interface Conflict<V extends Values> {
  name: keyof V
  mine: unknown
  theirs: unknown
}

interface EditOptions<R, V extends Values> {
  /** Where the thing is. */
  path: string
  /** The thing and its etag as the page shows it. */
  known: { body: R; etag: string }
  /** The form's values of a thing. */
  read: (body: R) => V
  /** The body of the PATCH that changes these values. */
  write: (changed: Partial<V>, all: V) => unknown
  /** What the notification says. */
  title: string
}

/**
 * Edits a resource under the etag with which the editing began. When somebody else changed
 * it meanwhile, conflicts are the values that both changed; what only the other changed is
 * taken, and what only this person changed stays.
 */
export function useEdit<R, V extends Values>(o: EditOptions<R, V>) {
  const { arm, live } = useService()
  const [base, setBase] = useState(o.known)
  const shown = useMemo(() => o.read(base.body), [base])
  const form = useForm<V>(shown)
  const [conflicts, setConflicts] = useState<Conflict<V>[]>([])
  const [saving, setSaving] = useState(false)
  const older = useRef<{ body: R; etag: string } | null>(null)
  // Without anything typed the form follows the service.
  useEffect(() => {
    if (form.changed.length === 0 && o.known.etag !== base.etag && o.known !== older.current && !saving) setBase(o.known)
  }, [o.known, base.etag, form.changed.length, saving])
  /** Goes on from what the service has just answered: what the page knew till then is older. */
  const goOnFrom = (answer: { body: R; etag: string }) => {
    older.current = o.known
    setBase({ body: answer.body, etag: answer.etag })
    live.reload(o.path)
  }

  const send = async (etag: string) => {
    const changed = Object.fromEntries(form.changed.map((k) => [k, form.values[k]])) as Partial<V>
    const answer = await arm.send<R>('PATCH', o.path, o.write(changed, form.values), etag ? { ifMatch: etag } : {})
    goOnFrom(answer)
    form.saved(changed)
    setConflicts([])
  }

  /** What the other changed of what is typed here. */
  const compare = async (): Promise<{ etag: string; both: Conflict<V>[] }> => {
    const now = await arm.send<R>('GET', o.path)
    const theirs = o.read(now.body)
    const both = form.changed.filter((k) => !equal(theirs[k], shown[k])).map((name) => ({ name, mine: form.values[name], theirs: theirs[name] }))
    goOnFrom(now)
    return { etag: now.etag, both }
  }

  /** Sends what is typed; once more where somebody else changed other values only. */
  const sendOrAsk = async () => {
    try {
      await send(base.etag)
    } catch (thrown) {
      if (!asArmError(thrown).conflict) throw thrown
      const { etag, both } = await compare()
      setConflicts(both)
      if (both.length > 0) throw thrown
      await send(etag)
    }
  }

  const save = async () => {
    setSaving(true)
    const failed = await act(o.title, sendOrAsk)
    setSaving(false)
    if (failed) form.show(failed)
  }
  /** Settles one conflict. */
  const settle = (c: Conflict<V>, keep: 'mine' | 'theirs') => {
    if (keep === 'theirs') form.set(c.name, c.theirs as V[keyof V])
    setConflicts((all) => all.filter((x) => x.name !== c.name))
  }
  return { form, save, saving, conflicts, settle }
}
