import { Badge, Body1Strong, Button, Caption1, CounterBadge, DrawerBody, DrawerHeader, DrawerHeaderTitle, OverlayDrawer, Spinner, Text, makeStyles, tokens } from '@fluentui/react-components'
import { AlertRegular, CheckmarkCircleRegular, DismissRegular, ErrorCircleRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { portalTexts } from '../texts/en'
import { clock } from './format'
import { sentence } from './ErrorNotice'
import { useFocusBack } from './Dialogs'
import { dismiss, dismissEnded, headline, useNotifications, type Notification } from './notifications'

const t = portalTexts.frame

const useStyles = makeStyles({
  holder: { position: 'relative', display: 'inline-flex' },
  count: { position: 'absolute', top: '2px', right: '2px', pointerEvents: 'none' },
  list: { listStyleType: 'none', margin: 0, padding: 0 },
  item: { display: 'flex', gap: tokens.spacingHorizontalS, padding: `${tokens.spacingVerticalM} 0`, borderBottom: `1px solid ${tokens.colorNeutralStroke2}` },
  text: { flexGrow: 1, minWidth: 0, display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalXS, overflowWrap: 'anywhere' },
  good: { color: tokens.colorPaletteGreenForeground1 },
  bad: { color: tokens.colorPaletteRedForeground1 },
  icon: { fontSize: '20px', flexShrink: 0, width: '20px' },
})

/** The bell: how much is under way, and a panel with all that was begun in this window. */
export function NotificationsButton() {
  const styles = useStyles()
  const [open, setOpen] = useState(false)
  useFocusBack(open)
  const all = useNotifications()
  const working = all.filter((n) => n.state === 'working').length
  const failed = all.filter((n) => n.state === 'failed').length
  const latest = all[0]
  return (
    <>
      <span className={styles.holder}>
        <Button appearance="subtle" icon={working > 0 ? <Spinner size="tiny" /> : <AlertRegular />} aria-label={working > 0 ? `${t.notifications}, ${t.working(working)}` : t.notifications} onClick={() => setOpen(true)} />
        {failed > 0 && <CounterBadge className={styles.count} size="small" color="danger" count={failed} aria-hidden />}
      </span>
      <div role="status" className="visually-hidden">
        {latest && headline(latest)}
      </div>
      {open && (
        <OverlayDrawer position="end" open onOpenChange={(_, d) => setOpen(d.open)} aria-label={t.notifications}>
          <DrawerHeader>
            <DrawerHeaderTitle action={<Button appearance="subtle" icon={<DismissRegular />} aria-label={t.close} onClick={() => setOpen(false)} />}>{t.notifications}</DrawerHeaderTitle>
          </DrawerHeader>
          <DrawerBody>
            {all.length === 0 && <Text>{t.noNotifications}</Text>}
            {all.some((n) => n.state !== 'working') && (
              <Button size="small" onClick={dismissEnded}>
                {t.clearAll}
              </Button>
            )}
            <ul className={styles.list}>
              {all.map((n) => (
                <Item key={n.key} n={n} />
              ))}
            </ul>
          </DrawerBody>
        </OverlayDrawer>
      )}
    </>
  )
}

function Item({ n }: { n: Notification }) {
  const styles = useStyles()
  return (
    <li className={styles.item}>
      {n.state === 'working' && <Spinner size="tiny" />}
      {n.state === 'done' && <CheckmarkCircleRegular className={`${styles.icon} ${styles.good}`} aria-hidden />}
      {n.state === 'failed' && <ErrorCircleRegular className={`${styles.icon} ${styles.bad}`} aria-hidden />}
      <div className={styles.text}>
        <Body1Strong>{headline(n)}</Body1Strong>
        <Caption1>{clock(n.at)}</Caption1>
        {n.failures.map((f, i) => (
          <div key={i}>
            {f.name && <Badge appearance="outline">{f.name}</Badge>} {sentence(f.error)}
            {f.error.more.correlationID && (
              <Caption1 block>
                {t.correlation} {f.error.more.correlationID}
              </Caption1>
            )}
          </div>
        ))}
      </div>
      {n.state !== 'working' && <Button size="small" appearance="subtle" icon={<DismissRegular />} aria-label={t.dismiss} onClick={() => dismiss(n.key)} />}
    </li>
  )
}
