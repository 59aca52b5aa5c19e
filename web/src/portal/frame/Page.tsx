// The frame of one page: where it is, its title, what can be done, its tabs.
import {
  Breadcrumb, BreadcrumbButton, BreadcrumbDivider, BreadcrumbItem, Button, Link, Menu, MenuItem, MenuList, MenuPopover, MenuTrigger, MessageBar, MessageBarBody, Tab, TabList, Text, Tooltip,
  makeStyles, mergeClasses, tokens, typographyStyles,
} from '@fluentui/react-components'
import { ArrowClockwiseRegular, MoreHorizontalRegular } from '@fluentui/react-icons'
import { Fragment, createContext, useEffect, useRef, type ReactElement, type ReactNode } from 'react'
import type { Known } from '../arm/live'
import { href, useQuery, useRoute } from '../router'
import { portalTexts } from '../texts/en'
import { ErrorNotice } from './ErrorNotice'
import { clock } from './format'

const t = portalTexts.frame

export interface Crumb {
  text: string
  to: string
}

/** Whether what a page shows could not be had: its lists wait for it no more. */
export const Failed = createContext(false)

/** Something that can be done on a page. */
export interface Command {
  key: string
  text: string
  icon?: ReactElement
  run?: () => void
  /** An address in place of something to run. */
  to?: string
  primary?: boolean
  disabled?: boolean
  /** The permission that is missing; the command is shown but cannot be used. */
  lacks?: string | false
}

interface Props {
  title: string
  /** Under the title: the type of what is shown, its status. */
  under?: ReactNode
  crumbs?: Crumb[]
  commands?: Command[]
  /** Tabs; an icon may tell how one stands, beside its text. */
  tabs?: { key: string; text: string; icon?: ReactElement }[]
  /** What the page shows; its loss is told. */
  known?: (Known<unknown> & { reload?: () => void }) | undefined
  children: ReactNode
  /** The content fills the height and scrolls by itself: a page of one grid. */
  fill?: boolean
}

const useStyles = makeStyles({
  page: { display: 'flex', flexDirection: 'column', minHeight: '100%', padding: `${tokens.spacingVerticalM} ${tokens.spacingHorizontalXL}`, boxSizing: 'border-box', '@media (max-width: 640px)': { padding: tokens.spacingHorizontalM } },
  fill: { height: '100%' },
  crumbs: { minHeight: '24px', '@media (max-width: 640px)': { display: 'none' } },
  head: { display: 'flex', flexWrap: 'wrap', alignItems: 'baseline', gap: `0 ${tokens.spacingHorizontalM}`, marginTop: tokens.spacingVerticalS },
  title: { ...typographyStyles.title3, margin: 0, overflowWrap: 'anywhere', ':focus': { outline: 'none' } },
  under: { color: tokens.colorNeutralForeground2 },
  commands: { display: 'flex', flexWrap: 'wrap', gap: tokens.spacingHorizontalXS, padding: `${tokens.spacingVerticalS} 0`, borderBottom: `1px solid ${tokens.colorNeutralStroke2}`, marginBottom: tokens.spacingVerticalM },
  tabs: { overflowX: 'auto', overflowY: 'hidden', flexShrink: 0, marginBottom: tokens.spacingVerticalM, scrollbarWidth: 'thin' },
  tabList: { '@media (min-width: 641px)': { flexWrap: 'wrap' } },
  wide: { '@media (max-width: 640px)': { display: 'none' } },
  narrow: { '@media (min-width: 641px)': { display: 'none' } },
  content: { display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalM, flexGrow: 1, minHeight: 0 },
  bar: { marginBottom: tokens.spacingVerticalM },
})

export function Page(p: Props) {
  const styles = useStyles()
  const heading = useRef<HTMLHeadingElement>(null)
  const tabs = useRef<HTMLDivElement>(null)
  const route = useRoute()
  const [tab, setTab] = useQuery('tab', p.tabs?.[0]?.key ?? '')
  useEffect(() => {
    document.title = t.title(p.title)
  }, [p.title])
  useEffect(() => heading.current?.focus({ preventScroll: true }), [route.page, route.id])
  // In a narrow window the tabs scroll, in others they wrap; the shown one is in sight.
  useEffect(() => {
    tabs.current?.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  }, [tab])
  const crumbs = [{ text: t.overview, to: href('') }, ...(p.crumbs ?? [])]
  return (
    <div className={mergeClasses(styles.page, p.fill && styles.fill)}>
      <Breadcrumb size="small" className={styles.crumbs} aria-label={t.breadcrumbs}>
        {crumbs.map((c, i) => (
          <Fragment key={c.to}>
            {i > 0 && <BreadcrumbDivider />}
            <BreadcrumbItem>
              <BreadcrumbButton as="a" href={c.to}>
                {c.text}
              </BreadcrumbButton>
            </BreadcrumbItem>
          </Fragment>
        ))}
      </Breadcrumb>
      <div className={styles.head}>
        <h1 ref={heading} tabIndex={-1} className={styles.title}>
          {p.title || (p.known?.error ? t.errorTitle : t.loading)}
        </h1>
        {p.under && <Text className={styles.under}>{p.under}</Text>}
      </div>
      <Commands commands={p.commands ?? []} reload={p.known?.reload} />
      {p.tabs && (
        <div ref={tabs} className={styles.tabs}>
          <TabList className={styles.tabList} selectedValue={tab} onTabSelect={(_, d) => setTab(String(d.value))}>
            {p.tabs.map((x) => (
              <Tab key={x.key} value={x.key} {...(x.icon ? { icon: x.icon } : {})}>
                {x.text}
              </Tab>
            ))}
          </TabList>
        </div>
      )}
      <Stale known={p.known} />
      <Failed value={Boolean(p.known?.error) && p.known?.data === undefined}>
        <div className={styles.content}>{p.children}</div>
      </Failed>
    </div>
  )
}

/** Says that what is shown is old, or why there is nothing. */
export function Stale({ known }: { known: Known<unknown> | undefined }) {
  const styles = useStyles()
  if (!known?.error) return null
  if (!known.error.lost || !known.asOf) return <ErrorNotice error={known.error} />
  return (
    <div role="status">
      <MessageBar intent="warning" className={styles.bar}>
        <MessageBarBody>{t.asOf(clock(known.asOf))}</MessageBarBody>
      </MessageBar>
    </div>
  )
}

function Commands({ commands, reload }: { commands: Command[]; reload: (() => void) | undefined }) {
  const styles = useStyles()
  if (commands.length === 0 && !reload) return <div className={styles.bar} />
  const first = commands.filter((c) => c.primary)
  const rest = commands.filter((c) => !c.primary)
  return (
    <div className={styles.commands}>
      {first.map((c) => (
        <CommandButton key={c.key} command={c} />
      ))}
      {rest.map((c) => (
        <CommandButton key={c.key} command={c} className={styles.wide} />
      ))}
      {rest.length > 0 && (
        <Menu>
          <MenuTrigger>
            <Button className={styles.narrow} appearance="subtle" icon={<MoreHorizontalRegular />} aria-label={t.more} />
          </MenuTrigger>
          <MenuPopover>
            <MenuList>
              {rest.map((c) => (
                <MenuItem key={c.key} {...(c.icon ? { icon: c.icon } : {})} disabled={Boolean(c.disabled || c.lacks)} onClick={() => (c.to ? (location.hash = c.to) : c.run?.())}>
                  {c.text}
                </MenuItem>
              ))}
            </MenuList>
          </MenuPopover>
        </Menu>
      )}
      {reload && <Button appearance="subtle" icon={<ArrowClockwiseRegular />} onClick={reload} aria-label={t.refresh} title={t.refresh} />}
    </div>
  )
}

/** One command as a button; one that lacks a permission says which. */
export function CommandButton({ command: c, className }: { command: Command; className?: string | undefined }) {
  const look = { appearance: c.primary ? ('primary' as const) : ('subtle' as const), ...(c.icon ? { icon: c.icon } : {}), ...(className ? { className } : {}) }
  if (c.lacks) {
    return (
      <Tooltip content={t.needs(c.lacks)} relationship="description">
        <Button {...look} disabledFocusable>
          {c.text}
        </Button>
      </Tooltip>
    )
  }
  if (c.to) {
    return (
      <Button as="a" href={c.to} {...look}>
        {c.text}
      </Button>
    )
  }
  return (
    <Button {...look} disabled={c.disabled ?? false} onClick={c.run}>
      {c.text}
    </Button>
  )
}

/** A link within the portal. */
export function To({ to, children }: { to: string; children: ReactNode }) {
  return <Link href={to}>{children}</Link>
}
