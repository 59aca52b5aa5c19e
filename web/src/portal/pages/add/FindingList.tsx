// What is to be corrected, each with a link to its field.
import { Link, makeStyles, tokens } from '@fluentui/react-components'
import { useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import { focusField } from './Bound'
import type { Found } from './findings'
import { useWizard } from './wizard'

const t = portalTexts.add

const useStyles = makeStyles({ list: { margin: 0, paddingInlineStart: tokens.spacingHorizontalXL, display: 'grid', rowGap: tokens.spacingVerticalS } })

/** The name of a field as its label says it, or in more words where two have the same label. */
export const labelOf = (field: string): string => (t.longFields as Record<string, string>)[field] ?? (t.fields as Record<string, string>)[field] ?? field

export function FindingList() {
  const styles = useStyles()
  const { found } = useWizard()
  const [, go] = useQuery('tab', 'basics')
  const lead = (f: Found) => {
    go(f.tab)
    // The tab shows first, then its field is there.
    setTimeout(() => focusField(f.field), 50)
  }
  return (
    <ul className={styles.list}>
      {found.map((f) => (
        <li key={f.tab + f.field}>
          <Link as="button" inline onClick={() => lead(f)}>
            {t.at(t.tabs[f.tab], labelOf(f.field))}
          </Link>
          {': '}
          {f.message}
        </li>
      ))}
    </ul>
  )
}
