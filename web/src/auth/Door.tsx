// The way in: what the page shows while somebody signs in, is signed out, or could not.
import { FluentProvider, Spinner, makeStyles, webDarkTheme, webLightTheme } from '@fluentui/react-components'
import { useEffect, useState, type ReactNode } from 'react'
import { Notice } from '../pages/Notice'
import { useDark } from '../theme'
import { SignInError, beginSignIn, cameBySignOut, finishSignIn, type SignedIn } from './oidc'

const useStyles = makeStyles({
  page: { height: '100dvh', display: 'flex', flexDirection: 'column', position: 'relative', overflow: 'hidden' },
  centre: { flexGrow: 1, display: 'grid', placeItems: 'center' },
})

/** What the door says. */
export interface DoorTexts {
  loading: string
  signIn: string
  signedOut: string
  signedOutHint: string
  signInFailed: string
  /** Why, where the issuer said nothing. */
  network: string
}

type Standing = { at: 'working' } | { at: 'out' } | { at: 'elsewhere' } | { at: 'failed'; message: string } | { at: 'in'; who: SignedIn }

interface Props {
  texts: DoorTexts
  /** The page for somebody who is signed in. */
  inside: (who: SignedIn) => ReactNode
  /** Hands the sign-in to another window, where this one was opened for that; says whether it was. */
  handOver?: (who: SignedIn) => boolean
  /** What is shown in a window that handed over. */
  handedOver?: ReactNode
}

/** What the page's address and history say of the sign-in. */
async function standing({ texts, handOver }: Props): Promise<Standing> {
  try {
    const who = await finishSignIn()
    if (who) return handOver?.(who) ? { at: 'elsewhere' } : { at: 'in', who }
    if (cameBySignOut()) return { at: 'out' }
    await beginSignIn()
    return { at: 'working' }
  } catch (error) {
    return { at: 'failed', message: error instanceof SignInError ? error.message : texts.network }
  }
}

let asked: Promise<Standing> | null = null // once, however often the page renders

export function Door(p: Props) {
  const styles = useStyles()
  const dark = useDark()
  const [now, setNow] = useState<Standing>({ at: 'working' })
  useEffect(() => {
    asked ??= standing(p)
    void asked.then(setNow)
  }, [p])
  const again = { label: p.texts.signIn, run: () => void beginSignIn() }
  return (
    <FluentProvider theme={dark ? webDarkTheme : webLightTheme}>
      {/* Not the provider's class: menus and dialogs would have it too, and cover the page. */}
      <div className={styles.page}>
        {now.at === 'working' && <Working text={p.texts.loading} />}
        {now.at === 'elsewhere' && p.handedOver}
        {now.at === 'out' && <Notice title={p.texts.signedOut} text={p.texts.signedOutHint} action={again} />}
        {now.at === 'failed' && <Notice title={p.texts.signInFailed} text={now.message} action={again} />}
        {now.at === 'in' && p.inside(now.who)}
      </div>
    </FluentProvider>
  )
}

/** A page that is not there yet. */
export function Working({ text }: { text: string }) {
  const styles = useStyles()
  return (
    <div className={styles.centre}>
      <Spinner label={text} />
    </div>
  )
}
