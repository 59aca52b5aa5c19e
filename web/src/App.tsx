import { FluentProvider, Spinner, makeStyles, webDarkTheme, webLightTheme } from '@fluentui/react-components'
import { useEffect, useState } from 'react'
import { SignInError, SignedIn, beginSignIn, cameBySignOut, finishSignIn } from './auth/oidc'
import { Notice } from './pages/Notice'
import { Shell } from './pages/Shell'
import { texts } from './texts'
import { useDark } from './theme'

const useStyles = makeStyles({
  page: { height: '100dvh', display: 'flex', flexDirection: 'column' },
  centre: { flexGrow: 1, display: 'grid', placeItems: 'center' },
})

type Standing = { at: 'working' } | { at: 'out' } | { at: 'failed'; message: string } | { at: 'in'; who: SignedIn }

let starting: Promise<Standing> | null = null

/** What the page's address and history say of the sign-in; asked once, however often the page renders. */
async function standing(): Promise<Standing> {
  try {
    const who = await finishSignIn()
    if (who) return { at: 'in', who }
    if (cameBySignOut()) return { at: 'out' }
    await beginSignIn()
    return { at: 'working' }
  } catch (error) {
    return { at: 'failed', message: error instanceof SignInError ? error.message : texts.failures.network }
  }
}

export function App() {
  const styles = useStyles()
  const isDark = useDark()
  const [now, setNow] = useState<Standing>({ at: 'working' })
  useEffect(() => {
    starting ??= standing()
    void starting.then(setNow)
  }, [])
  const signIn = () => void beginSignIn()
  return (
    <FluentProvider theme={isDark ? webDarkTheme : webLightTheme}>
      {/* not the provider's class: menus would have it too, and cover the page */}
      <div className={styles.page}>
        {now.at === 'working' && (
          <div className={styles.centre}>
            <Spinner label={texts.loading} />
          </div>
        )}
        {now.at === 'out' && <Notice title={texts.signedOut} text={texts.signedOutHint} action={{ label: texts.signIn, run: signIn }} />}
        {now.at === 'failed' && <Notice title={texts.signInFailed} text={now.message} action={{ label: texts.signIn, run: signIn }} />}
        {now.at === 'in' && <Shell who={now.who} signIn={signIn} />}
      </div>
    </FluentProvider>
  )
}
