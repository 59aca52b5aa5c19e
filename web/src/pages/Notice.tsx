import { Button, Subtitle1, Text, makeStyles, tokens } from '@fluentui/react-components'
import type { ReactNode } from 'react'

const useStyles = makeStyles({
  centre: { flexGrow: 1, display: 'grid', placeItems: 'center', padding: tokens.spacingHorizontalL, overflow: 'auto' },
  card: { display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalM, alignItems: 'center', textAlign: 'center', maxWidth: '36rem' },
  buttons: { display: 'flex', gap: tokens.spacingHorizontalS, flexWrap: 'wrap', justifyContent: 'center' },
})

export interface Action {
  label: string
  run: () => void
}

/** A page that says one thing, and offers what to do. */
export function Notice(p: { title: string; text: string; action?: Action; other?: Action; children?: ReactNode; inside?: boolean }) {
  const styles = useStyles()
  const Element = p.inside ? 'div' : 'main' // within a page that has its main part already
  return (
    <Element className={styles.centre}>
      <div className={styles.card}>
        <Subtitle1 as="h1">{p.title}</Subtitle1>
        <Text align="center">{p.text}</Text>
        {p.children}
        <div className={styles.buttons}>
          {p.action && (
            <Button appearance="primary" onClick={p.action.run}>
              {p.action.label}
            </Button>
          )}
          {p.other && <Button onClick={p.other.run}>{p.other.label}</Button>}
        </div>
      </div>
    </Element>
  )
}
