import { Badge, Body1Strong, Button, Caption1, Menu, MenuItem, MenuList, MenuPopover, MenuTrigger, makeStyles, tokens } from '@fluentui/react-components'
import { AppGenericRegular, ArrowDownloadRegular, DesktopRegular, MoreHorizontalRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import type { Resource } from '../api/types'
import { texts } from '../texts'

const useStyles = makeStyles({
  tile: {
    display: 'flex', alignItems: 'stretch', backgroundColor: tokens.colorNeutralBackground1, borderRadius: tokens.borderRadiusLarge, boxShadow: tokens.shadow4,
    ':hover': { boxShadow: tokens.shadow8 },
  },
  open: { flexGrow: 1, minWidth: 0, justifyContent: 'flex-start', textAlign: 'start', gap: tokens.spacingHorizontalM, padding: tokens.spacingHorizontalM },
  picture: { width: '40px', height: '40px', flexShrink: 0, fontSize: '40px' },
  text: { display: 'flex', flexDirection: 'column', minWidth: 0, alignItems: 'flex-start', gap: tokens.spacingVerticalXXS },
  line: { maxWidth: '100%', overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' },
  faint: { color: tokens.colorNeutralForeground3 },
  spoken: { position: 'absolute', width: '1px', height: '1px', overflow: 'hidden', clipPath: 'inset(50%)' },
  more: { alignSelf: 'flex-start', margin: tokens.spacingHorizontalXS },
})

/** One desktop or app. What no browser can show is offered as a file instead. */
export function Tile({ resource: r, open, download }: { resource: Resource; open: () => void; download: () => void }) {
  const styles = useStyles()
  const [noIcon, setNoIcon] = useState(false)
  const name = r.friendlyName || r.name
  const app = r.type === 'RemoteApp'
  const act = r.inBrowser ? open : download
  const Fallback = app ? AppGenericRegular : DesktopRegular
  return (
    <li className={styles.tile}>
      <Button
        appearance="transparent"
        className={styles.open}
        onClick={act}
        title={r.inBrowser ? (r.description ?? name) : texts.appInNative}
      >
        {noIcon ? <Fallback className={styles.picture} aria-hidden /> : <img className={styles.picture} src={r.icon} alt="" onError={() => setNoIcon(true)} />}
        <span className={styles.text}>
          <span className={styles.spoken}>{r.inBrowser ? texts.open : texts.downloadRDP}</span>
          <Body1Strong className={styles.line}>{name}</Body1Strong>
          <Caption1 className={`${styles.line} ${styles.faint}`}>{r.description || r.hostPool}</Caption1>
          <Badge appearance="tint" size="small">
            {app ? texts.remoteApp : texts.desktop}
          </Badge>
          {r.description && <span className={styles.spoken}>{r.hostPool}</span>}
        </span>
      </Button>
      <Menu inline>
        <MenuTrigger>
          <Button className={styles.more} appearance="subtle" size="small" icon={<MoreHorizontalRegular />} aria-label={texts.moreFor(name)} />
        </MenuTrigger>
        <MenuPopover>
          <MenuList>
            {r.inBrowser && <MenuItem icon={<DesktopRegular />} onClick={open}>{texts.open}</MenuItem>}
            <MenuItem icon={<ArrowDownloadRegular />} onClick={download}>
              {texts.downloadRDP}
            </MenuItem>
          </MenuList>
        </MenuPopover>
      </Menu>
    </li>
  )
}
