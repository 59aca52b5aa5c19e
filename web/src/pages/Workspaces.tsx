import { Button, MessageBar, MessageBarBody, SearchBox, Spinner, Subtitle2, Text, makeStyles, tokens } from '@fluentui/react-components'
import { ArrowClockwiseRegular } from '@fluentui/react-icons'
import { useCallback, useEffect, useRef, useState } from 'react'
import { Refused, type Api } from '../api/client'
import type { Failure, Feed, Resource, Workspace } from '../api/types'
import { Countdown } from '../session/Countdown'
import { FailureDetails } from '../session/FailureDetails'
import { texts } from '../texts'
import { Notice } from './Notice'
import { Tile } from './Tile'

const useStyles = makeStyles({
  page: { flexGrow: 1, overflow: 'auto', padding: tokens.spacingHorizontalXL, '@media (max-width: 640px)': { padding: tokens.spacingHorizontalM } },
  head: { display: 'flex', gap: tokens.spacingHorizontalS, marginBottom: tokens.spacingVerticalL, maxWidth: '40rem' },
  search: { flexGrow: 1, maxWidth: 'none' },
  section: { marginBottom: tokens.spacingVerticalXXL },
  grid: {
    display: 'grid', gap: tokens.spacingHorizontalM, gridTemplateColumns: 'repeat(auto-fill, minmax(260px, 1fr))', padding: 0, margin: `${tokens.spacingVerticalM} 0 0`, listStyleType: 'none',
  },
  bar: { marginBottom: tokens.spacingVerticalL },
  spoken: { position: 'absolute', width: '1px', height: '1px', margin: 0, overflow: 'hidden', clipPath: 'inset(50%)' },
  centre: { flexGrow: 1, display: 'grid', placeItems: 'center' },
})

const asFailure = (error: unknown): Failure =>
  error instanceof Refused ? error.failure : { symbol: 'ClientBroken', message: texts.failures.unexpected }

/** What of a workspace a search finds. */
export function matching(workspaces: Workspace[], query: string): Workspace[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  const has = (w: Workspace, r: Resource) => {
    const text = [r.friendlyName, r.name, r.description, r.hostPool, w.friendlyName].join(' ').toLowerCase()
    return words.every((word) => text.includes(word))
  }
  return workspaces.map((w) => ({ ...w, resources: w.resources.filter((r) => has(w, r)) })).filter((w) => w.resources.length > 0)
}

function useFeed(api: Api) {
  const [feed, setFeed] = useState<Feed | null>(null)
  const [failure, setFailure] = useState<Failure | null>(null)
  const [again, setAgain] = useState(0) // when it is asked again; 0: when the person wants
  const [busy, setBusy] = useState(true)
  const turn = useRef(0)
  const load = useCallback(async () => {
    const mine = ++turn.current
    setBusy(true)
    try {
      const got = await api.feed()
      if (mine !== turn.current) return
      setFeed(got)
      setFailure(null)
      setAgain(0)
    } catch (error) {
      if (mine !== turn.current) return
      const why = asFailure(error)
      setFailure(why)
      setAgain(why.retryAfterSeconds ? Date.now() + why.retryAfterSeconds * 1000 : 0)
    }
    setBusy(false)
  }, [api])
  useEffect(() => void load(), [load])
  useEffect(() => {
    if (!again) return
    const timer = setTimeout(() => void load(), Math.max(0, again - Date.now()))
    return () => clearTimeout(timer)
  }, [again, load])
  return { feed, failure, again, busy, load }
}

export function Workspaces({ api, open, signIn }: { api: Api; open: (r: Resource) => void; signIn: () => void }) {
  const styles = useStyles()
  const { feed, failure, again, busy, load } = useFeed(api)
  const [query, setQuery] = useState('')
  const [said, setSaid] = useState<{ intent: 'success' | 'error'; text: string } | null>(null)

  const download = async (r: Resource) => {
    try {
      save(await api.file(r.rdp), r.friendlyName + '.rdp')
      setSaid({ intent: 'success', text: texts.downloaded(r.friendlyName + '.rdp') })
    } catch (error) {
      setSaid({ intent: 'error', text: `${texts.downloadFailed}: ${asFailure(error).message}` })
    }
  }
  if (failure && (!feed || failure.symbol === 'SignInExpired')) {
    const action = failure.symbol === 'SignInExpired' ? { label: texts.signIn, run: signIn } : { label: texts.retryNow, run: () => void load() }
    return (
      <Notice inside title={texts.feedFailed} text={failure.message} action={action}>
        {again > 0 && <Countdown until={again} />}
        <FailureDetails failure={failure} />
      </Notice>
    )
  }
  if (!feed) {
    return (
      <div className={styles.centre}>
        <Spinner label={texts.loading} />
      </div>
    )
  }
  if (!feed.workspaces.some((w) => w.resources.length > 0)) {
    return <Notice inside title={texts.noWorkspaces} text={texts.noWorkspacesHint} action={{ label: texts.refresh, run: () => void load() }} />
  }
  const found = matching(feed.workspaces, query)
  const count = found.reduce((n, w) => n + w.resources.length, 0)
  return (
    <div className={styles.page}>
      <h1 className={styles.spoken}>{texts.desktops}</h1>
      <div className={styles.head}>
        <SearchBox className={styles.search} placeholder={texts.search} aria-label={texts.search} value={query} onChange={(_, d) => setQuery(d.value)} />
        <Button icon={busy ? <Spinner size="tiny" /> : <ArrowClockwiseRegular />} onClick={() => void load()} aria-label={texts.refresh} />
      </div>
      <div role="status">
        {(said || failure) && (
          <MessageBar className={styles.bar} intent={failure ? 'error' : (said?.intent ?? 'success')}>
            <MessageBarBody>
              {failure ? failure.message : said?.text} {failure && again > 0 && <Countdown until={again} />}
            </MessageBarBody>
          </MessageBar>
        )}
        {query && <Text>{count > 0 ? texts.found(count) : texts.noMatches(query)}</Text>}
      </div>
      {found.map((w) => (
        <section key={w.id} className={styles.section} aria-label={w.friendlyName || w.name}>
          <Subtitle2 as="h2">{w.friendlyName || w.name}</Subtitle2>
          <ul className={styles.grid}>
            {w.resources.map((r) => (
              <Tile key={r.id} resource={r} open={() => open(r)} download={() => void download(r)} />
            ))}
          </ul>
        </section>
      ))}
    </div>
  )
}

/** Hands a file to the browser's downloads. */
function save(file: Blob, name: string) {
  const url = URL.createObjectURL(file)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
