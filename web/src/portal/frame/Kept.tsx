// What stays while another tab is shown: a form with what was typed into it.
import type { ReactNode } from 'react'

export const Kept = ({ shown, children }: { shown: boolean; children: ReactNode }) => <div hidden={!shown}>{children}</div>
