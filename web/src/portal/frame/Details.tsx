// Names and values of a thing, in columns as the width allows; and a text that is copied.
import { Button, Caption1, Text, makeStyles, tokens } from '@fluentui/react-components'
import { CheckmarkRegular, CopyRegular } from '@fluentui/react-icons'
import { useState, type ReactNode } from 'react'
import { portalTexts } from '../texts/en'

const t = portalTexts.frame

const useStyles = makeStyles({
  list: { display: 'grid', gridTemplateColumns: 'repeat(auto-fill, minmax(min(100%, 280px), 1fr))', gap: `${tokens.spacingVerticalS} ${tokens.spacingHorizontalXL}`, margin: 0 },
  pair: { minWidth: 0 },
  name: { color: tokens.colorNeutralForeground2 },
  value: { margin: 0, overflowWrap: 'anywhere' },
  copy: { display: 'flex', alignItems: 'center', gap: tokens.spacingHorizontalXS, minWidth: 0 },
  code: { fontFamily: tokens.fontFamilyMonospace, overflowX: 'auto', whiteSpace: 'pre-wrap', overflowWrap: 'anywhere', backgroundColor: tokens.colorNeutralBackground3, padding: tokens.spacingHorizontalS, borderRadius: tokens.borderRadiusMedium, flexGrow: 1, margin: 0 },
})

/** Name and value pairs; those without a value show a dash. */
export function Details({ of }: { of: [name: string, value: ReactNode][] }) {
  const styles = useStyles()
  return (
    <dl className={styles.list}>
      {of.map(([name, value]) => (
        <div key={name} className={styles.pair}>
          <dt>
            <Caption1 className={styles.name}>{name}</Caption1>
          </dt>
          <dd className={styles.value}>{value === '' || value === undefined || value === null ? '–' : value}</dd>
        </div>
      ))}
    </dl>
  )
}

/** Copies a text; says so to eyes and ears. */
export function CopyButton({ text, label }: { text: string | (() => Promise<string>); label?: string }) {
  const [said, setSaid] = useState('')
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === 'string' ? text : await text())
      setSaid(t.copied)
    } catch {
      setSaid(t.copyFailed)
    }
    setTimeout(() => setSaid(''), 4000)
  }
  return (
    <>
      <Button appearance="subtle" icon={said === t.copied ? <CheckmarkRegular /> : <CopyRegular />} aria-label={label ?? t.copy} title={label ?? t.copy} onClick={() => void copy()} />
      <Text role="status" size={200}>
        {said}
      </Text>
    </>
  )
}

/** A text to be copied to a terminal. */
export function Code({ text, label }: { text: string; label: string }) {
  const styles = useStyles()
  return (
    <div className={styles.copy}>
      <pre className={styles.code} tabIndex={0} aria-label={label}>
        {text}
      </pre>
      <CopyButton text={text} label={`${t.copy}: ${label}`} />
    </div>
  )
}

/** Hands a text to the browser's downloads. */
export function download(text: string, name: string, type = 'text/plain;charset=utf-8') {
  const url = URL.createObjectURL(new Blob([text], { type }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
