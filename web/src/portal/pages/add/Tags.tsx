// The tab Tags.
import { Button, Input, Text, makeStyles, tokens } from '@fluentui/react-components'
import { AddRegular, DeleteRegular } from '@fluentui/react-icons'
import { portalTexts } from '../../texts/en'
import { At } from './Bound'
import { useWizard } from './wizard'

const t = portalTexts.add

const useStyles = makeStyles({
  row: { display: 'flex', gap: tokens.spacingHorizontalS, marginBottom: tokens.spacingVerticalS, maxWidth: '40rem' },
  input: { flexGrow: 1, minWidth: 0 },
  error: { color: tokens.colorPaletteRedForeground1 },
})

export function Tags() {
  const styles = useStyles()
  const { draft, set, finding } = useWizard()
  const rows = draft.tags.length > 0 ? draft.tags : [{ name: '', value: '' }]
  const change = (at: number, part: Partial<{ name: string; value: string }>) => set({ tags: rows.map((r, i) => (i === at ? { ...r, ...part } : r)) })
  const error = finding('tags')
  return (
    <At field="tags">
      <p>{t.tagsHint}</p>
      {rows.map((r, i) => (
        <div key={i} className={styles.row}>
          <Input className={styles.input} aria-label={`${t.tagName} ${i + 1}`} placeholder={t.tagName} value={r.name} onChange={(_, d) => change(i, { name: d.value })} />
          <Input className={styles.input} aria-label={`${t.tagValue} ${i + 1}`} placeholder={t.tagValue} value={r.value} onChange={(_, d) => change(i, { value: d.value })} />
          <Button appearance="subtle" icon={<DeleteRegular />} aria-label={t.removeTag(r.name || String(i + 1))} onClick={() => set({ tags: rows.filter((_, at) => at !== i) })} />
        </div>
      ))}
      {error && (
        <Text role="alert" className={styles.error} block>
          {error}
        </Text>
      )}
      <Button icon={<AddRegular />} onClick={() => set({ tags: [...rows, { name: '', value: '' }] })}>
        {t.addTag}
      </Button>
    </At>
  )
}
