// Tags: names and values in rows.
import { Button, Input, Text, makeStyles, tokens } from '@fluentui/react-components'
import { AddRegular, DeleteRegular } from '@fluentui/react-icons'
import { portalTexts } from '../texts/en'
import type { Tag } from './tags'

const t = portalTexts.frame

const useStyles = makeStyles({
  row: { display: 'flex', gap: tokens.spacingHorizontalS, marginBottom: tokens.spacingVerticalS, maxWidth: '40rem' },
  input: { flexGrow: 1, minWidth: 0 },
  error: { color: tokens.colorPaletteRedForeground1 },
})

export function TagRows({ tags, change, error }: { tags: readonly Tag[]; change: (tags: Tag[]) => void; error?: string | undefined }) {
  const styles = useStyles()
  const rows = tags.length > 0 ? tags : [{ name: '', value: '' }]
  const edit = (at: number, part: Partial<Tag>) => change(rows.map((r, i) => (i === at ? { ...r, ...part } : r)))
  return (
    <>
      {rows.map((r, i) => (
        <div key={i} className={styles.row}>
          <Input className={styles.input} aria-label={`${t.tagName} ${i + 1}`} placeholder={t.tagName} value={r.name} onChange={(_, d) => edit(i, { name: d.value })} />
          <Input className={styles.input} aria-label={`${t.tagValue} ${i + 1}`} placeholder={t.tagValue} value={r.value} onChange={(_, d) => edit(i, { value: d.value })} />
          <Button appearance="subtle" icon={<DeleteRegular />} aria-label={t.removeTag(r.name || String(i + 1))} onClick={() => change(rows.filter((_, at) => at !== i))} />
        </div>
      ))}
      {error && (
        <Text role="alert" className={styles.error} block>
          {error}
        </Text>
      )}
      <div>
        <Button icon={<AddRegular />} onClick={() => change([...rows, { name: '', value: '' }])}>
          {t.addTag}
        </Button>
      </div>
    </>
  )
}
