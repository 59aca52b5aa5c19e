import { Button, Tab, TabList, Text, makeStyles, tokens } from '@fluentui/react-components'
import { DesktopRegular, DismissRegular, HomeRegular } from '@fluentui/react-icons'
import { texts } from '../texts'
import { AccountMenu } from './AccountMenu'
import type { OpenTab } from './Shell'

const useStyles = makeStyles({
  bar: {
    display: 'flex', alignItems: 'center', gap: tokens.spacingHorizontalS, padding: `0 ${tokens.spacingHorizontalM}`, minHeight: '48px', flexShrink: 0,
    position: 'relative', zIndex: 2, // its menu lies above a session's toolbar
    backgroundColor: tokens.colorNeutralBackground1, borderBottom: `1px solid ${tokens.colorNeutralStroke2}`,
  },
  brand: { '@media (max-width: 640px)': { display: 'none' } },
  tabs: { flexGrow: 1, minWidth: 0, display: 'flex', overflowX: 'auto', scrollbarWidth: 'thin' },
  tab: { display: 'flex', alignItems: 'center', flexShrink: 0 },
  label: { maxWidth: '12rem', overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' },
})

interface Props {
  user: string
  tabs: OpenTab[]
  seen: string
  select: (key: string) => void
  close: (key: string) => void
  signOut: () => void
}

export function TopBar(p: Props) {
  const styles = useStyles()
  return (
    <header className={styles.bar}>
      <Text weight="semibold" className={styles.brand}>
        {texts.product}
      </Text>
      <div className={styles.tabs}>
        <TabList aria-label={texts.tabs} selectedValue={p.seen} onTabSelect={(_, d) => p.select(String(d.value))}>
          <Tab value="" id="tab-home" aria-controls="panel-home" icon={<HomeRegular />}>
            {texts.desktops}
          </Tab>
          {p.tabs.map((t) => (
            <Tab
              key={t.key}
              value={t.key}
              id={'tab-' + t.key}
              aria-controls={'panel-' + t.key}
              icon={<DesktopRegular />}
              onKeyDown={(e) => e.key === 'Delete' && p.close(t.key)}
            >
              <span className={styles.label}>{t.desktop.resource.friendlyName}</span>
            </Tab>
          ))}
        </TabList>
        {p.tabs.some((t) => t.key === p.seen) && (
          <Button
            appearance="subtle"
            icon={<DismissRegular />}
            onClick={() => p.close(p.seen)}
            aria-label={texts.closeTab(p.tabs.find((t) => t.key === p.seen)?.desktop.resource.friendlyName ?? '')}
          />
        )}
      </div>
      <AccountMenu user={p.user} signOut={p.signOut} words={texts} />
    </header>
  )
}
