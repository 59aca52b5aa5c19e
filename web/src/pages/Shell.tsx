import { makeStyles, mergeClasses, tokens } from '@fluentui/react-components'
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from 'react'
import { Api } from '../api/client'
import type { Resource } from '../api/types'
import type { SignedIn } from '../auth/oidc'
import { Desktop } from '../session/desktop'
import { SessionView } from '../session/SessionView'
import { texts } from '../texts'
import { TopBar } from './TopBar'
import { Workspaces } from './Workspaces'

const useStyles = makeStyles({
  body: { flexGrow: 1, minHeight: 0, display: 'flex', flexDirection: 'column', backgroundColor: tokens.colorNeutralBackground2 },
  main: { display: 'contents' },
  hidden: { display: 'none' },
  fullScreen: { backgroundColor: '#000' },
})

export interface OpenTab {
  key: string
  desktop: Desktop
}

/** Whether the page fills the screen. */
export function useFullScreen(): boolean {
  return useSyncExternalStore(
    (changed) => {
      document.addEventListener('fullscreenchange', changed)
      return () => document.removeEventListener('fullscreenchange', changed)
    },
    () => document.fullscreenElement !== null,
  )
}

let opened = 0

/** The sessions that are open, and which tab is seen; '' is the list of desktops. */
function useTabs(api: Api) {
  const [tabs, setTabs] = useState<OpenTab[]>([])
  const [seen, setSeen] = useState('')
  const open = useCallback(
    (resource: Resource) => {
      const there = tabs.find((t) => t.desktop.resource.id === resource.id)
      if (there) {
        if (there.desktop.state().at === 'closed') there.desktop.retry()
        return setSeen(there.key)
      }
      const load = () => import('../session/ironrdp').then((m) => m.ironDisplay())
      const tab = { key: `session-${++opened}`, desktop: new Desktop({ resource, api, load }) }
      setTabs([...tabs, tab])
      setSeen(tab.key)
    },
    [api, tabs],
  )
  const close = useCallback(
    (key: string) => {
      const at = tabs.findIndex((t) => t.key === key)
      tabs[at]?.desktop.dispose()
      const left = tabs.filter((t) => t.key !== key)
      setTabs(left)
      if (seen === key) setSeen((left[at] ?? left[at - 1])?.key ?? '')
    },
    [tabs, seen],
  )
  return { tabs, seen, setSeen, open, close }
}

export function Shell({ who, signIn }: { who: SignedIn; signIn: () => void }) {
  const styles = useStyles()
  const api = useMemo(() => new Api(who), [who])
  const { tabs, seen, setSeen, open, close } = useTabs(api)
  const fullScreen = useFullScreen()

  useEffect(() => {
    if (tabs.length === 0) return
    const ask = (e: BeforeUnloadEvent) => {
      if (tabs.some((t) => t.desktop.state().at === 'open')) e.preventDefault()
    }
    addEventListener('beforeunload', ask)
    return () => removeEventListener('beforeunload', ask)
  }, [tabs])

  const shown = tabs.find((t) => t.key === seen)?.desktop.resource.friendlyName
  useEffect(() => {
    document.title = shown ? `${shown} – ${texts.product}` : texts.product
  }, [shown])

  const signOut = () => {
    tabs.forEach((t) => t.desktop.disconnect())
    who.signOut()
  }
  return (
    <>
      {!fullScreen && <TopBar user={who.user} tabs={tabs} seen={seen} select={setSeen} close={close} signOut={signOut} />}
      <main className={styles.main}>
        <div className={mergeClasses(styles.body, seen !== '' && styles.hidden)} role="tabpanel" id="panel-home" aria-labelledby="tab-home">
          <Workspaces api={api} open={open} signIn={signIn} />
        </div>
        {tabs.map((t) => (
          <div
            key={t.key}
            id={'panel-' + t.key}
            role="tabpanel"
            aria-labelledby={'tab-' + t.key}
            className={mergeClasses(styles.body, fullScreen && styles.fullScreen, seen !== t.key && styles.hidden)}
          >
            <SessionView desktop={t.desktop} visible={seen === t.key} close={() => close(t.key)} signIn={signIn} />
          </div>
        ))}
      </main>
    </>
  )
}
