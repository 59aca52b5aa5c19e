import { Spinner, makeStyles, mergeClasses, tokens } from '@fluentui/react-components'
import { useEffect, useRef, useSyncExternalStore, type RefObject } from 'react'
import { Notice } from '../pages/Notice'
import { useFullScreen } from '../pages/Shell'
import { prefs, usePrefs } from '../prefs'
import { texts } from '../texts'
import type { Desktop, Phase } from './desktop'
import { Countdown } from './Countdown'
import { FailureDetails } from './FailureDetails'
import { desktopSize } from './size'
import { SessionToolbar } from './SessionToolbar'

const useStyles = makeStyles({
  view: { flexGrow: 1, minHeight: 0, display: 'flex', flexDirection: 'column', position: 'relative' },
  screen: { flexGrow: 1, minHeight: 0, minWidth: 0, position: 'relative', overflow: 'hidden', backgroundColor: '#000' },
  gone: { display: 'none' },
  cover: {
    position: 'absolute', inset: 0, display: 'flex', alignItems: 'stretch', justifyContent: 'center', backgroundColor: tokens.colorNeutralBackground2,
  },
  veil: { backgroundColor: tokens.colorBackgroundOverlay, alignItems: 'center' },
  box: { padding: tokens.spacingHorizontalXL, borderRadius: tokens.borderRadiusLarge, backgroundColor: tokens.colorNeutralBackground1 },
  spoken: { position: 'absolute', width: '1px', height: '1px', overflow: 'hidden', clipPath: 'inset(50%)' },
  bar: { flexShrink: 0, position: 'relative', zIndex: 1 }, // its menus lie above the screen
  barHidden: {
    position: 'absolute', top: 0, left: '50%', zIndex: 1, transform: 'translate(-50%, calc(-100% + 8px))', transitionProperty: 'transform', transitionDuration: tokens.durationNormal,
    borderRadius: tokens.borderRadiusLarge, boxShadow: tokens.shadow16, maxWidth: '100%',
    ':hover': { transform: 'translate(-50%, 0)' },
    ':focus-within': { transform: 'translate(-50%, 0)' },
  },
})

interface Props {
  desktop: Desktop
  visible: boolean
  close: () => void
  signIn: () => void
}

/** Keeps the desktop at the size of its box, by the person's choice of picture. */
function useFit(desktop: Desktop, screen: RefObject<HTMLDivElement | null>, visible: boolean) {
  const { picture } = usePrefs()
  useEffect(() => {
    const box = screen.current
    if (!box || !visible) return
    const fit = () => {
      if (box.clientWidth === 0 || box.clientHeight === 0) return
      const size = desktopSize({ width: box.clientWidth, height: box.clientHeight }, devicePixelRatio, prefs().picture)
      desktop.start(box, size)
      desktop.fit(size)
      desktop.connection()?.setScale(prefs().scale)
    }
    fit()
    const observer = new ResizeObserver(fit)
    observer.observe(box)
    return () => observer.disconnect()
  }, [desktop, screen, visible, picture])
}

/** Ctrl+Alt+Home takes the keyboard from the desktop to the toolbar, before the desktop sees it. */
function useEscape(view: RefObject<HTMLDivElement | null>, visible: boolean) {
  useEffect(() => {
    if (!visible) return
    const leave = (e: KeyboardEvent) => {
      if (e.key !== 'Home' || !e.ctrlKey || !e.altKey) return
      e.preventDefault()
      e.stopImmediatePropagation()
      view.current?.querySelector<HTMLElement>('[role="toolbar"] button:not([disabled])')?.focus()
    }
    addEventListener('keydown', leave, true)
    return () => removeEventListener('keydown', leave, true)
  }, [view, visible])
}

export function SessionView({ desktop, visible, close, signIn }: Props) {
  const styles = useStyles()
  const phase = useSyncExternalStore(desktop.subscribe, desktop.state)
  const view = useRef<HTMLDivElement>(null)
  const screen = useRef<HTMLDivElement>(null)
  const fullScreen = useFullScreen()
  const { scale, keyboard } = usePrefs()
  useFit(desktop, screen, visible)
  useEscape(view, visible)
  useEffect(() => {
    const live = desktop.connection()
    live?.setScale(scale)
    live?.setKeyboard(keyboard)
  }, [desktop, phase, scale, keyboard, fullScreen, visible])
  useEffect(() => {
    if (visible) desktop.connection()?.focus()
  }, [desktop, visible])

  const covered = phase.at === 'failed' || phase.at === 'closed' || phase.at === 'waiting'
  const working = phase.at === 'asking' || phase.at === 'opening'
  return (
    <div className={styles.view} ref={view}>
      <div className={fullScreen ? styles.barHidden : styles.bar}>
        <SessionToolbar desktop={desktop} phase={phase} fullScreen={fullScreen} />
      </div>
      <div className={styles.screen}>
        <ScreenBox box={screen} />
        {covered && (
          <div className={styles.cover}>
            <Outcome desktop={desktop} phase={phase} close={close} signIn={signIn} />
          </div>
        )}
        {working && (
          <div className={mergeClasses(styles.cover, phase.again && styles.veil)}>
            <Spinner className={mergeClasses(phase.again && styles.box)} label={progressText(desktop, phase)} />
          </div>
        )}
      </div>
      {!covered && <h1 className={styles.spoken}>{desktop.resource.friendlyName}</h1>}
      <div role="status" className={styles.spoken}>
        {phase.at === 'open' ? texts.connected(desktop.resource.friendlyName) + ' ' + texts.toolbarHint : working ? progressText(desktop, phase) : ''}
      </div>
    </div>
  )
}

/** The element that the display fills by itself: React leaves its children alone. */
function ScreenBox({ box }: { box: RefObject<HTMLDivElement | null> }) {
  return <div ref={box} data-testid="screen" style={{ position: 'absolute', inset: 0, overflow: 'hidden' }} />
}

function progressText(desktop: Desktop, phase: Phase): string {
  if (phase.at === 'asking') return phase.again ? texts.reconnecting : texts.asking(desktop.resource.friendlyName)
  if (phase.at === 'opening') return phase.again ? texts.reconnecting : texts.opening(phase.host)
  return ''
}

/** Why nothing is shown, and what to do. */
function Outcome({ desktop, phase, close, signIn }: { desktop: Desktop; phase: Phase; close: () => void; signIn: () => void }) {
  const name = desktop.resource.friendlyName
  const closeAction = { label: texts.close, run: close }
  if (phase.at === 'closed') {
    return (
      <Notice
        inside
        title={texts.closedTitle(name)}
        text={phase.by === 'user' ? texts.closedByUser : texts.closedByHost}
        action={{ label: texts.connectAgain, run: () => desktop.retry() }}
        other={closeAction}
      />
    )
  }
  if (phase.at === 'failed') {
    const expired = phase.failure.symbol === 'SignInExpired'
    return (
      <Notice
        inside
        title={texts.failedTitle(name)}
        text={[phase.failure.message, phase.failure.next].filter(Boolean).join(' ')}
        action={expired ? { label: texts.signIn, run: signIn } : { label: texts.retryNow, run: () => desktop.retry() }}
        other={closeAction}
      >
        <FailureDetails failure={phase.failure} />
      </Notice>
    )
  }
  if (phase.at !== 'waiting') return null
  return (
    <Notice
      inside
      title={phase.lost ? texts.lostTitle : texts.waitingTitle(name)}
      text={[phase.failure.message, phase.failure.next].filter(Boolean).join(' ')}
      action={{ label: texts.retryNow, run: () => desktop.retry() }}
      other={closeAction}
    >
      <Countdown until={phase.until} />
      <FailureDetails failure={phase.failure} />
    </Notice>
  )
}
