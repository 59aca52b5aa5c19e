import { useSyncExternalStore } from 'react'
import { usePrefs } from './prefs'

const dark = matchMedia('(prefers-color-scheme: dark)')

/** Whether the page is to be dark, by the person's choice or the system's. */
export function useDark(): boolean {
  const system = useSyncExternalStore(
    (changed) => {
      dark.addEventListener('change', changed)
      return () => dark.removeEventListener('change', changed)
    },
    () => dark.matches,
  )
  const { theme } = usePrefs()
  return theme === 'system' ? system : theme === 'dark'
}
