import { Button, Menu, MenuDivider, MenuGroup, MenuGroupHeader, MenuItem, MenuItemRadio, MenuList, MenuPopover, MenuTrigger } from '@fluentui/react-components'
import { PersonRegular, SignOutRegular } from '@fluentui/react-icons'
import type { ReactNode } from 'react'
import { setPref, usePrefs, type Prefs } from '../prefs'

interface Props {
  user: string
  signOut: () => void
  /** The words of the page that it is on. */
  words: { account: (name: string) => string; signOut: string; theme: string; themes: Record<string, string> }
  /** Further items, before signing out. */
  children?: ReactNode
}

/** Who is signed in, signing out, and how the page looks. It stands within the page, so that it lies in one of its landmarks. */
export function AccountMenu({ user, signOut, words, children }: Props) {
  const { theme } = usePrefs()
  return (
    <Menu inline checkedValues={{ theme: [theme] }} onCheckedValueChange={(_, d) => setPref('theme', d.checkedItems[0] as Prefs['theme'])}>
      <MenuTrigger>
        <Button appearance="subtle" icon={<PersonRegular />} aria-label={words.account(user)} title={user} />
      </MenuTrigger>
      <MenuPopover>
        <MenuList>
          <MenuGroup>
            <MenuGroupHeader>{user}</MenuGroupHeader>
            {children}
            <MenuItem icon={<SignOutRegular />} onClick={signOut}>
              {words.signOut}
            </MenuItem>
          </MenuGroup>
          <MenuDivider />
          <MenuGroup>
            <MenuGroupHeader>{words.theme}</MenuGroupHeader>
            {Object.entries(words.themes).map(([value, label]) => (
              <MenuItemRadio key={value} name="theme" value={value}>
                {label}
              </MenuItemRadio>
            ))}
          </MenuGroup>
        </MenuList>
      </MenuPopover>
    </Menu>
  )
}
