// A status as an icon and a word: never by colour alone.
import { makeStyles, mergeClasses, tokens } from '@fluentui/react-components'
import { CheckmarkCircleRegular, CircleHintRegular, ClockRegular, DismissCircleRegular, PauseCircleRegular, WarningRegular } from '@fluentui/react-icons'
import type { ReactNode } from 'react'

export type Tone = 'good' | 'warning' | 'bad' | 'busy' | 'off' | 'unknown'

const useStyles = makeStyles({
  whole: { display: 'inline-flex', alignItems: 'center', verticalAlign: 'middle', gap: tokens.spacingHorizontalXS, minWidth: 0, maxWidth: '100%' },
  text: { overflow: 'hidden', textOverflow: 'ellipsis' },
  icon: { flexShrink: 0, fontSize: '16px' },
  good: { color: tokens.colorPaletteGreenForeground1 },
  warning: { color: tokens.colorPaletteDarkOrangeForeground1 },
  bad: { color: tokens.colorPaletteRedForeground1 },
  busy: { color: tokens.colorBrandForeground1 },
  off: { color: tokens.colorNeutralForeground2 },
  unknown: { color: tokens.colorNeutralForeground2 },
})

const icons = { good: CheckmarkCircleRegular, warning: WarningRegular, bad: DismissCircleRegular, busy: ClockRegular, off: PauseCircleRegular, unknown: CircleHintRegular }

export function Status({ tone, children, title }: { tone: Tone; children: ReactNode; title?: string }) {
  const styles = useStyles()
  const Icon = icons[tone]
  return (
    <span className={styles.whole} title={title}>
      <Icon className={mergeClasses(styles.icon, styles[tone])} aria-hidden />
      <span className={styles.text}>{children}</span>
    </span>
  )
}

/** How a session host's status is taken. */
export function toneOfHost(status: string): Tone {
  switch (status) {
    case 'Available':
      return 'good'
    case 'NeedsAssistance':
      return 'warning'
    case 'Unavailable': case 'Disconnected': case 'UpgradeFailed': case 'DomainTrustRelationshipLost': case 'NotJoinedToDomain': case 'SxSStackListenerNotReady': case 'NoHeartbeat': case 'FSLogixNotHealthy':
      return 'bad'
    case 'Upgrading':
      return 'busy'
    case 'Shutdown':
      return 'off'
  }
  return 'unknown'
}

/** How an operation's or deployment's state is taken. */
export function toneOfState(state: string): Tone {
  switch (state.toLowerCase()) {
    case 'succeeded': case 'available': case 'done':
      return 'good'
    case 'failed':
      return 'bad'
    case 'canceled': case 'cancelled':
      return 'off'
    case 'warning': case 'expiring':
      return 'warning'
    case '':
      return 'unknown'
  }
  return 'busy'
}
