// The question before something is deleted for good: its name is typed, and what goes with
// it and what stays is said.
import type { ReactNode } from 'react'
import { useService } from '../arm/context'
import { nameOf } from '../arm/ids'
import { finished } from '../arm/poll'
import { portalTexts } from '../texts/en'
import { Confirm } from './Dialogs'
import { act } from './notifications'

const t = portalTexts.frame

interface Props {
  /** What is deleted: the path of the request. */
  id: string
  /** What it is called, where that is not the id's last part. */
  name?: string
  /** What goes with it, and what stays. */
  text: ReactNode
  /** What the request says beside its path, such as "?force=true". */
  query?: string
  /** Something else must go first; the text says what. */
  blocked?: boolean
  /** Once it is gone: where to go, or what to ask for again. */
  gone: () => void
  close: () => void
}

export function Removal(p: Props) {
  const { arm } = useService()
  const name = p.name ?? nameOf(p.id)
  const run = () => void act(t.deleting(name), async () => finished(arm, await arm.remove(p.id + (p.query ?? '')))).then((error) => !error && p.gone())
  return (
    <Confirm title={t.deleteTitle(name)} doIt={t.remove} type={name} blocked={p.blocked ?? false} run={run} close={p.close}>
      {p.text}
    </Confirm>
  )
}
