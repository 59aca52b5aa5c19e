import {
  Menu, MenuDivider, MenuGroup, MenuGroupHeader, MenuItem, MenuItemRadio, MenuList, MenuPopover, MenuTrigger, Text, Toolbar, ToolbarButton, Tooltip, makeStyles, tokens,
} from '@fluentui/react-components'
import { ClipboardRegular, FullScreenMaximizeRegular, FullScreenMinimizeRegular, KeyboardRegular, PlugDisconnectedRegular, OptionsRegular } from '@fluentui/react-icons'
import { useState, type ReactElement } from 'react'
import { setPref, usePrefs, type Prefs } from '../prefs'
import { texts } from '../texts'
import type { Desktop, Phase } from './desktop'
import { layoutNames } from './layouts'

const useStyles = makeStyles({
  bar: { display: 'flex', alignItems: 'center', gap: tokens.spacingHorizontalS, backgroundColor: tokens.colorNeutralBackground1, padding: `0 ${tokens.spacingHorizontalS}` },
  long: { maxHeight: '70vh', overflowY: 'auto' },
  said: { color: tokens.colorNeutralForeground2, overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap', minWidth: 0 },
})

const layoutChoices = [['auto', texts.layoutAuto] as const, ...layoutNames]

interface Props {
  desktop: Desktop
  phase: Phase
  fullScreen: boolean
}

interface KeyboardLock {
  lock?: () => Promise<void>
}

/** Fills the screen; where the browser lets us, the desktop then gets Alt+Tab and Esc too. */
async function toggleFullScreen() {
  if (document.fullscreenElement) return document.exitFullscreen()
  await document.documentElement.requestFullscreen({ navigationUI: 'hide' })
  await (navigator as Navigator & { keyboard?: KeyboardLock }).keyboard?.lock?.()
}

export function SessionToolbar({ desktop, phase, fullScreen }: Props) {
  const styles = useStyles()
  const [said, setSaid] = useState('')
  const idle = phase.at !== 'open'
  const live = () => desktop.connection()
  const then = (work: Promise<void> | undefined, text: string) =>
    void work?.then(() => setSaid(text), () => setSaid(texts.clipboardFailed)).then(() => live()?.focus())
  const full = fullScreen ? texts.leaveFullScreen : texts.fullScreen
  return (
    <div className={styles.bar}>
      <Toolbar aria-label={texts.toolbar} size="small">
        <Labelled text={texts.disconnect}>
          <ToolbarButton aria-label={texts.disconnect} icon={<PlugDisconnectedRegular />} disabled={phase.at === 'closed' || phase.at === 'failed'} onClick={() => desktop.disconnect()} />
        </Labelled>
        <Labelled text={full}>
          <ToolbarButton
            aria-label={full}
            icon={fullScreen ? <FullScreenMinimizeRegular /> : <FullScreenMaximizeRegular />}
            onClick={() => void toggleFullScreen().catch(() => undefined).then(() => live()?.focus())}
          />
        </Labelled>
        <ViewMenu />
        <KeyboardMenu desktop={desktop} idle={idle} />
        <Menu inline>
          <MenuTrigger>
            <ToolbarButton aria-label={texts.clipboard} title={texts.clipboard} icon={<ClipboardRegular />} disabled={idle} />
          </MenuTrigger>
          <MenuPopover>
            <MenuList>
              <MenuItem onClick={() => then(live()?.sendClipboard(), texts.clipboardSent)}>{texts.sendClipboard}</MenuItem>
              <MenuItem onClick={() => then(live()?.fetchClipboard(), texts.clipboardFetched)}>{texts.fetchClipboard}</MenuItem>
            </MenuList>
          </MenuPopover>
        </Menu>
      </Toolbar>
      <Text role="status" size={200} className={styles.said}>
        {said}
      </Text>
    </div>
  )
}

function Labelled({ text, children }: { text: string; children: ReactElement }) {
  return (
    <Tooltip content={text} relationship="label">
      {children}
    </Tooltip>
  )
}

/** Scale and picture. */
function ViewMenu() {
  const { scale, picture } = usePrefs()
  return (
    <Menu
      inline
      checkedValues={{ scale: [scale], picture: [picture] }}
      onCheckedValueChange={(_, d) => setPref(d.name as 'scale' | 'picture', d.checkedItems[0] as Prefs['scale'] & Prefs['picture'])}
    >
      <MenuTrigger>
        <ToolbarButton aria-label={texts.view} title={texts.view} icon={<OptionsRegular />} />
      </MenuTrigger>
      <MenuPopover>
        <MenuList>
          <Choices name="scale" title={texts.scale} choices={texts.scales} />
          <MenuDivider />
          <Choices name="picture" title={texts.picture} choices={texts.pictures} />
        </MenuList>
      </MenuPopover>
    </Menu>
  )
}

/** Keys that the browser keeps for itself, and how the others are sent. */
function KeyboardMenu({ desktop, idle }: { desktop: Desktop; idle: boolean }) {
  const styles = useStyles()
  const { keyboard, layout } = usePrefs()
  const choose = (name: string, chosen: string | undefined) => {
    if (name === 'keyboard') return setPref('keyboard', chosen as Prefs['keyboard'])
    if (!chosen || chosen === layout) return
    setPref('layout', chosen)
    void desktop.anew() // the desktop learns of it as a connection begins
  }
  const press = (key: 'ctrlAltDel' | 'windowsKey') => () => {
    desktop.connection()?.[key]()
    desktop.connection()?.focus()
  }
  return (
    <Menu inline checkedValues={{ keyboard: [keyboard], layout: [layout] }} onCheckedValueChange={(_, d) => choose(d.name, d.checkedItems[0])}>
      <MenuTrigger>
        <ToolbarButton aria-label={texts.keyboard} title={texts.keyboard} icon={<KeyboardRegular />} disabled={idle} />
      </MenuTrigger>
      <MenuPopover className={styles.long}>
        <MenuList>
          <MenuItem onClick={press('ctrlAltDel')}>{texts.ctrlAltDel}</MenuItem>
          <MenuItem onClick={press('windowsKey')}>{texts.windowsKey}</MenuItem>
          <MenuDivider />
          <Choices name="keyboard" title={texts.keyboard} choices={texts.keyboards} />
          <MenuDivider />
          <Choices name="layout" title={texts.layout} choices={layoutChoices} />
        </MenuList>
      </MenuPopover>
    </Menu>
  )
}

function Choices({ name, title, choices }: { name: string; title: string; choices: Record<string, string> | readonly (readonly [string, string])[] }) {
  return (
    <MenuGroup>
      <MenuGroupHeader>{title}</MenuGroupHeader>
      {(Array.isArray(choices) ? choices : Object.entries(choices)).map(([value, label]) => (
        <MenuItemRadio key={value} name={name} value={value}>
          {label}
        </MenuItemRadio>
      ))}
    </MenuGroup>
  )
}
