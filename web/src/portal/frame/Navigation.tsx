import { Button, OverlayDrawer, Text, makeStyles, mergeClasses, tokens } from '@fluentui/react-components'
import {
  AppsListRegular, CalendarClockRegular, DesktopRegular, DocumentFlowchartRegular, GridRegular, HistoryRegular, HomeRegular, ImageRegular, LocationRegular, NavigationRegular,
  NetworkCheckRegular, PeopleRegular, PersonRegular, PlugConnectedRegular, ServerRegular, ShieldPersonRegular,
} from '@fluentui/react-icons'
import { useEffect, useState, type ReactElement } from 'react'
import { href, useRoute } from '../router'
import { portalTexts } from '../texts/en'
import { useFocusBack } from './Dialogs'

const t = portalTexts.frame

type Name = keyof typeof t.nav

const groups: { title: string; items: [Name, ReactElement][] }[] = [
  { title: '', items: [['overview', <HomeRegular key="i" />]] },
  {
    title: t.navGroups.manage,
    items: [
      ['hostpools', <ServerRegular key="i" />], ['hosts', <DesktopRegular key="i" />], ['appgroups', <AppsListRegular key="i" />], ['workspaces', <GridRegular key="i" />], ['scalingplans', <CalendarClockRegular key="i" />],
    ],
  },
  { title: t.navGroups.access, items: [['users', <PersonRegular key="i" />], ['groups', <PeopleRegular key="i" />], ['roles', <ShieldPersonRegular key="i" />]] },
  { title: t.navGroups.resources, items: [['images', <ImageRegular key="i" />], ['networks', <NetworkCheckRegular key="i" />], ['locations', <LocationRegular key="i" />]] },
  {
    title: t.navGroups.monitor,
    items: [['connections', <PlugConnectedRegular key="i" />], ['deployments', <DocumentFlowchartRegular key="i" />], ['activity', <HistoryRegular key="i" />]],
  },
]

/** The entry that stands for a page about one thing. */
const listOf: Record<string, Name> = {
  '': 'overview', hostpool: 'hostpools', add: 'hostpools', run: 'hostpools', host: 'hosts', machine: 'hosts', appgroup: 'appgroups', workspace: 'workspaces', scalingplan: 'scalingplans', deployment: 'deployments', network: 'networks',
  connection: 'connections', user: 'users', group: 'groups',
}

const useStyles = makeStyles({
  nav: { width: '216px', flexShrink: 0, overflowY: 'auto', borderRight: `1px solid ${tokens.colorNeutralStroke2}`, padding: `${tokens.spacingVerticalS} 0`, '@media (max-width: 900px)': { display: 'none' } },
  group: { margin: `0 0 ${tokens.spacingVerticalM}`, padding: 0, listStyleType: 'none' },
  title: { display: 'block', padding: `0 ${tokens.spacingHorizontalL}`, color: tokens.colorNeutralForeground2 },
  link: {
    display: 'flex', alignItems: 'center', gap: tokens.spacingHorizontalM, minHeight: '36px', padding: `0 ${tokens.spacingHorizontalL}`, color: tokens.colorNeutralForeground1, textDecorationLine: 'none', fontSize: tokens.fontSizeBase300,
    ':hover': { backgroundColor: tokens.colorSubtleBackgroundHover },
    ':focus-visible': { outline: `2px solid ${tokens.colorStrokeFocus2}`, outlineOffset: '-2px' },
  },
  here: { backgroundColor: tokens.colorSubtleBackgroundSelected, fontWeight: tokens.fontWeightSemibold, boxShadow: `inset 3px 0 0 ${tokens.colorBrandStroke1}` },
  icon: { fontSize: '20px', display: 'inline-flex', color: tokens.colorBrandForeground1 },
  button: { '@media (min-width: 901px)': { display: 'none' } },
})

function Entries() {
  const styles = useStyles()
  const { page } = useRoute()
  const here = listOf[page] ?? page
  return groups.map((g) => (
    <div key={g.title}>
      {g.title && (
        <Text size={200} weight="semibold" className={styles.title}>
          {g.title}
        </Text>
      )}
      <ul className={styles.group}>
        {g.items.map(([name, icon]) => (
          <li key={name}>
            <a className={mergeClasses(styles.link, here === name && styles.here)} href={href(name === 'overview' ? '' : name)} aria-current={here === name ? 'page' : undefined}>
              <span className={styles.icon} aria-hidden>
                {icon}
              </span>
              {t.nav[name]}
            </a>
          </li>
        ))}
      </ul>
    </div>
  ))
}

/** The navigation beside the page. */
export function Navigation() {
  const styles = useStyles()
  return (
    <nav className={styles.nav} aria-label={t.navigation}>
      <Entries />
    </nav>
  )
}

/** The navigation of narrow windows. */
export function NavigationButton() {
  const styles = useStyles()
  const [open, setOpen] = useState(false)
  useFocusBack(open)
  const route = useRoute()
  useEffect(() => setOpen(false), [route.page, route.id])
  return (
    <>
      <Button className={styles.button} appearance="subtle" icon={<NavigationRegular />} aria-label={t.openNavigation} aria-expanded={open} onClick={() => setOpen(true)} />
      {open && (
        <OverlayDrawer position="start" size="small" open onOpenChange={(_, d) => setOpen(d.open)} aria-label={t.navigation}>
          <nav aria-label={t.navigation}>
            <Entries />
          </nav>
        </OverlayDrawer>
      )}
    </>
  )
}
