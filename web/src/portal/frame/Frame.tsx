// The portal around its pages: the bar with search, notifications and account; the navigation.
import { MenuItemLink, SearchBox, Spinner, Text, makeStyles, tokens } from '@fluentui/react-components'
import { DesktopRegular } from '@fluentui/react-icons'
import { Suspense, useEffect, useRef, useState } from 'react'
import { AccountMenu } from '../../pages/AccountMenu'
import { Notice } from '../../pages/Notice'
import { pages } from '../pages'
import { go, href, unsaved, useRoute } from '../router'
import { portalTexts } from '../texts/en'
import { Boundary } from './Boundary'
import { Navigation, NavigationButton } from './Navigation'
import { NotificationsButton } from './NotificationsPanel'

const t = portalTexts.frame

const useStyles = makeStyles({
  bar: { position: 'relative', zIndex: 2, display: 'flex', alignItems: 'center', gap: tokens.spacingHorizontalS, minHeight: '48px', flexShrink: 0, padding: `0 ${tokens.spacingHorizontalM}`, borderBottom: `1px solid ${tokens.colorNeutralStroke2}`, backgroundColor: tokens.colorNeutralBackground1 },
  brand: { color: tokens.colorNeutralForeground1, textDecorationLine: 'none', '@media (max-width: 640px)': { display: 'none' } },
  search: { flexGrow: 1, display: 'flex', justifyContent: 'center', minWidth: 0 },
  box: { width: '100%', maxWidth: '32rem' },
  body: { display: 'flex', flexGrow: 1, minHeight: 0 },
  main: { flexGrow: 1, minWidth: 0, overflow: 'auto', backgroundColor: tokens.colorNeutralBackground1 },
  centre: { display: 'grid', placeItems: 'center', height: '100%' },
  skip: {
    position: 'absolute', insetInlineStart: '8px', top: '-60px', zIndex: 10, padding: '8px 16px', backgroundColor: tokens.colorNeutralBackground1, color: tokens.colorBrandForegroundLink,
    ':focus': { top: '8px' },
  },
})

export function Frame({ user, signOut }: { user: string; signOut: () => void }) {
  const styles = useStyles()
  const main = useRef<HTMLElement>(null)
  useLeaveGuard()
  return (
    <>
      <a
        className={styles.skip}
        href="#main"
        onClick={(e) => {
          e.preventDefault()
          main.current?.focus()
        }}
      >
        {t.skip}
      </a>
      <header className={styles.bar}>
        <NavigationButton />
        <a href={href('')} className={styles.brand}>
          <Text weight="semibold" size={400}>
            {t.product}
          </Text>
        </a>
        <GlobalSearch />
        <NotificationsButton />
        <AccountMenu user={user} signOut={signOut} words={t}>
          <MenuItemLink icon={<DesktopRegular />} href="/web/">
            {t.desktops}
          </MenuItemLink>
        </AccountMenu>
      </header>
      <div className={styles.body}>
        <Navigation />
        <main ref={main} id="main" tabIndex={-1} className={styles.main}>
          <Shown />
        </main>
      </div>
    </>
  )
}

/** The page of the address. */
function Shown() {
  const styles = useStyles()
  const { page, id } = useRoute()
  const Found = pages[page]
  if (!Found) return <Notice title={t.notFound} text={t.notFoundHint} action={{ label: t.overview, run: () => go(href('')) }} inside />
  return (
    <Boundary key={page + id}>
      <Suspense
        fallback={
          <div className={styles.centre}>
            <Spinner label={t.loading} />
          </div>
        }
      >
        <Found id={id} />
      </Suspense>
    </Boundary>
  )
}

/** Asks before a page with something unsaved is left, by link, history or closing. */
function useLeaveGuard() {
  useEffect(() => {
    let here = location.hash
    const left = (e: HashChangeEvent) => {
      const samePage = here.split('?')[0] === location.hash.split('?')[0]
      if (samePage || !unsaved() || confirm(`${t.unsavedTitle}\n${t.unsaved}`)) {
        here = location.hash
        return
      }
      e.stopImmediatePropagation()
      history.replaceState(null, '', here)
      dispatchEvent(new HashChangeEvent('hashchange'))
    }
    const close = (e: BeforeUnloadEvent) => {
      if (unsaved()) e.preventDefault()
    }
    addEventListener('hashchange', left, { capture: true })
    addEventListener('beforeunload', close)
    return () => {
      removeEventListener('hashchange', left, { capture: true })
      removeEventListener('beforeunload', close)
    }
  }, [])
}

/** Search of everything; Ctrl+/ leads to it. */
function GlobalSearch() {
  const styles = useStyles()
  const box = useRef<HTMLDivElement>(null)
  const route = useRoute()
  const [text, setText] = useState(route.page === 'search' ? (route.query.get('q') ?? '') : '')
  useEffect(() => {
    const keys = (e: KeyboardEvent) => {
      if (e.key === '/' && e.ctrlKey) {
        e.preventDefault()
        box.current?.querySelector('input')?.focus()
      }
    }
    addEventListener('keydown', keys)
    return () => removeEventListener('keydown', keys)
  }, [])
  return (
    <div ref={box} className={styles.search} role="search">
      <SearchBox
        className={styles.box}
        placeholder={t.searchShort}
        aria-label={t.search}
        title={`${t.search} (Ctrl+/)`}
        value={text}
        onChange={(_, d) => setText(d.value)}
        onKeyDown={(e) => {
          if (e.key === 'Enter' && text.trim()) go(href('search', '', { q: text.trim() }))
        }}
      />
    </div>
  )
}
