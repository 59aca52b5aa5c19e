// A list of things: thousands of rows of which only the seen ones exist in the page, with
// sorting, a filter, and a choice of rows. The keyboard moves by row; Enter opens, Space chooses.
import { Checkbox, SearchBox, Spinner, Text, makeStyles, mergeClasses, tokens } from '@fluentui/react-components'
import { ArrowDownRegular, ArrowUpRegular } from '@fluentui/react-icons'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useContext, useDeferredValue, useEffect, useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from 'react'
import { portalTexts } from '../texts/en'
import { useQuery } from '../router'
import { Failed } from './Page'

const t = portalTexts.frame
const rowHeight = 40

/** One column of a grid. */
export interface Column<T> {
  key: string
  title: string
  /** What is shown; the value where it is left out. */
  cell?: (row: T) => ReactNode
  /** What is sorted and filtered by. */
  value: (row: T) => string | number
  /** Share of the width. 1 unless said. */
  wide?: number
  /** 1: always shown; 2: from 700 pixels of width; 3: from 1100. 2 unless said. */
  rank?: 1 | 2 | 3
  /** Numbers stand at the end. */
  numeric?: boolean
  /** Not to be sorted by: buttons for instance. */
  plain?: boolean
}

interface Props<T> {
  /** What the list is of, for those who hear the page. */
  label: string
  columns: Column<T>[]
  rows: readonly T[] | undefined
  /** A row's own key, such as its id. */
  id: (row: T) => string
  /** What stands in place of the rows where there are none. */
  empty?: ReactNode
  /** Chosen rows; rows cannot be chosen where it is left out. */
  chosen?: ReadonlySet<string>
  choose?: (chosen: ReadonlySet<string>) => void
  /** Opens a row, by Enter or a click beside its links. */
  open?: (row: T) => void
  /** Beside the filter. */
  tools?: ReactNode
  /** The name of the filter and the order in the address, where a page has several grids. */
  name?: string
  /** Rows that the filter's text alone does not decide about. */
  also?: (row: T) => boolean
  noFilter?: boolean
}

const useStyles = makeStyles({
  whole: { display: 'flex', flexDirection: 'column', minHeight: 0, flexGrow: 1, containerType: 'inline-size' },
  tools: { display: 'flex', flexWrap: 'wrap', gap: tokens.spacingHorizontalS, alignItems: 'center', marginBottom: tokens.spacingVerticalS },
  filter: { flexGrow: 1, maxWidth: '24rem', minWidth: '10rem' },
  count: { color: tokens.colorNeutralForeground2, marginInlineStart: 'auto' },
  scroll: { overflow: 'auto', flexGrow: 1, minHeight: '160px', borderTop: `1px solid ${tokens.colorNeutralStroke2}`, position: 'relative' },
  head: { position: 'sticky', top: 0, zIndex: 1, backgroundColor: tokens.colorNeutralBackground1, borderBottom: `1px solid ${tokens.colorNeutralStroke1}`, fontWeight: tokens.fontWeightSemibold },
  row: { display: 'flex', alignItems: 'center', height: `${rowHeight}px`, boxSizing: 'border-box' },
  body: { position: 'relative' },
  line: {
    position: 'absolute', insetInline: 0, borderBottom: `1px solid ${tokens.colorNeutralStroke3}`,
    ':hover': { backgroundColor: tokens.colorSubtleBackgroundHover },
    ':focus-visible': { outline: `2px solid ${tokens.colorStrokeFocus2}`, outlineOffset: '-2px' },
  },
  pointer: { cursor: 'pointer' },
  chosen: { backgroundColor: tokens.colorSubtleBackgroundSelected },
  check: { flexShrink: 0, width: '36px' },
  cell: { minWidth: 0, overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap', padding: `0 ${tokens.spacingHorizontalS}` },
  two: { '@container (max-width: 700px)': { display: 'none' } },
  three: { '@container (max-width: 1100px)': { display: 'none' } },
  numeric: { textAlign: 'end', fontVariantNumeric: 'tabular-nums' },
  sort: {
    border: 'none', padding: 0, background: 'none', font: 'inherit', color: 'inherit', cursor: 'pointer', display: 'inline-flex', alignItems: 'center', gap: '4px', minHeight: '24px', maxWidth: '100%',
    ':focus-visible': { outline: `2px solid ${tokens.colorStrokeFocus2}` },
  },
  empty: { padding: tokens.spacingHorizontalXL, textAlign: 'center' },
})

interface Order {
  key: string
  down: boolean
}

const compare = (a: string | number, b: string | number) =>
  typeof a === 'number' && typeof b === 'number' ? a - b : collator.compare(String(a), String(b))
const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' })

/** The rows that a filter finds: every word, in any column; in an order. */
export function arrange<T>(rows: readonly T[], columns: Column<T>[], filter: string, order: Order | null, also?: (row: T) => boolean): T[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean)
  const found = rows.filter((row) => {
    if (also && !also(row)) return false
    if (words.length === 0) return true
    const text = columns.map((c) => c.value(row)).join('\n').toLowerCase()
    return words.every((w) => text.includes(w))
  })
  const by = order && columns.find((c) => c.key === order.key)
  if (!by) return found
  const keyed = found.map((row) => ({ row, value: by.value(row) }))
  keyed.sort((a, b) => (order.down ? compare(b.value, a.value) : compare(a.value, b.value)))
  return keyed.map((k) => k.row)
}

const orderOf = (text: string): Order | null => (text ? { key: text.replace(/^-/, ''), down: text.startsWith('-') } : null)

export function Grid<T>(p: Props<T>) {
  const styles = useStyles()
  const prefix = p.name ? p.name + '.' : ''
  const [typed, setTyped] = useQuery(prefix + 'filter')
  const [order, setOrder] = useQuery(prefix + 'order')
  const filter = useDeferredValue(typed)
  const shown = useMemo(() => arrange(p.rows ?? [], p.columns, filter, orderOf(order), p.also), [p.rows, p.columns, filter, order, p.also])
  useOnlyShown(p, shown)
  const failed = useContext(Failed)
  if (!p.rows) return failed ? null : <Spinner label={t.loading} />
  return (
    <div className={styles.whole}>
      <div className={styles.tools}>
        {!p.noFilter && <SearchBox className={styles.filter} placeholder={t.filter} aria-label={`${t.filter}: ${p.label}`} value={typed} onChange={(_, d) => setTyped(d.value)} />}
        {p.tools}
        <Text size={200} className={styles.count} role="status">
          {p.chosen && p.chosen.size > 0 ? t.selected(p.chosen.size) + ', ' : ''}
          {shown.length === p.rows.length ? t.rows(shown.length) : t.rowsOf(shown.length, p.rows.length)}
        </Text>
      </div>
      <Rows {...p} shown={shown} order={orderOf(order)} setOrder={setOrder} filter={filter} />
    </div>
  )
}

/** Chosen is only what is shown: nothing is done to a row that nobody sees. */
function useOnlyShown<T>({ rows, chosen, choose, id }: Props<T>, shown: readonly T[]) {
  useEffect(() => {
    if (!rows || !chosen?.size) return
    const keys = new Set(shown.map(id))
    const left = [...chosen].filter((key) => keys.has(key))
    if (left.length < chosen.size) choose?.(new Set(left))
  }, [rows, chosen, choose, id, shown])
}

function Rows<T>(p: Props<T> & { shown: T[]; order: Order | null; setOrder: (text: string) => void; filter: string }) {
  const styles = useStyles()
  const scroll = useRef<HTMLDivElement>(null)
  const [active, setActive] = useState(0)
  const virtual = useVirtualizer({ count: p.shown.length, getScrollElement: () => scroll.current, estimateSize: () => rowHeight, overscan: 12, initialRect: { width: 800, height: 600 } })
  const cellClass = (c: Column<T>) => mergeClasses(styles.cell, c.numeric && styles.numeric, (c.rank ?? 2) === 2 && styles.two, c.rank === 3 && styles.three)
  const share = (c: Column<T>) => ({ flex: `${c.wide ?? 1} 1 0` })
  const focus = (to: number) => {
    const at = Math.max(0, Math.min(to, p.shown.length - 1))
    setActive(at)
    virtual.scrollToIndex(at)
    const row = () => scroll.current?.querySelector<HTMLElement>(`[data-index="${at}"]`)
    // At once where the row exists: the next key may be on its way.
    if (row()) row()?.focus({ preventScroll: true })
    else requestAnimationFrame(() => row()?.focus())
  }
  const keys = (e: KeyboardEvent<HTMLDivElement>, row: T, at: number) => {
    if (e.target !== e.currentTarget) return
    const page = Math.floor((scroll.current?.clientHeight ?? 400) / rowHeight) - 1
    const to: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: p.shown.length - 1 }
    if (e.key in to) focus(to[e.key]!)
    else if (e.key === 'Enter' && p.open) p.open(row)
    else if (e.key === ' ' && p.choose) toggle(p, p.id(row))
    else return
    e.preventDefault()
  }
  return (
    <div ref={scroll} className={styles.scroll} role="grid" aria-label={p.label} aria-rowcount={p.shown.length + 1} aria-multiselectable={p.choose ? true : undefined} tabIndex={p.shown.length === 0 ? 0 : -1}>
      <Head {...p} cellClass={cellClass} share={share} />
      {p.shown.length === 0 && <Empty filter={p.filter} empty={p.empty} />}
      <div className={styles.body} role="rowgroup" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((v) => {
          const row = p.shown[v.index]!
          const key = p.id(row)
          const chosen = p.chosen?.has(key) ?? false
          return (
            <div
              key={key}
              role="row"
              data-index={v.index}
              aria-rowindex={v.index + 2}
              aria-selected={p.choose ? chosen : undefined}
              tabIndex={v.index === Math.min(active, p.shown.length - 1) ? 0 : -1}
              className={mergeClasses(styles.row, styles.line, chosen && styles.chosen, p.open && styles.pointer)}
              style={{ transform: `translateY(${v.start}px)` }}
              onFocus={() => setActive(v.index)}
              onKeyDown={(e) => keys(e, row, v.index)}
              onClick={(e) => {
                if (p.open && !(e.target as Element).closest('a,button,input,label')) p.open(row)
              }}
            >
              {p.choose && (
                <div role="gridcell" className={styles.check}>
                  <Checkbox checked={chosen} aria-label={t.selectRow(String(p.columns[0]?.value(row) ?? key))} onChange={() => toggle(p, key)} />
                </div>
              )}
              {p.columns.map((c) => (
                <div key={c.key} role="gridcell" className={cellClass(c)} style={share(c)}>
                  {c.cell ? c.cell(row) : c.value(row)}
                </div>
              ))}
            </div>
          )
        })}
      </div>
    </div>
  )
}

function toggle<T>(p: Props<T>, key: string) {
  const next = new Set(p.chosen)
  if (!next.delete(key)) next.add(key)
  p.choose?.(next)
}

interface HeadProps<T> extends Props<T> {
  shown: T[]
  order: Order | null
  setOrder: (text: string) => void
  cellClass: (c: Column<T>) => string
  share: (c: Column<T>) => { flex: string }
}

function Head<T>(p: HeadProps<T>) {
  const styles = useStyles()
  const all = p.shown.length > 0 && p.shown.every((row) => p.chosen?.has(p.id(row)))
  const some = !all && p.shown.some((row) => p.chosen?.has(p.id(row)))
  const next = (key: string) => (p.order?.key !== key ? key : p.order.down ? '' : '-' + key)
  const sorted = (key: string) => (p.order?.key !== key ? 'none' : p.order.down ? 'descending' : 'ascending')
  return (
    <div role="rowgroup" className={styles.head}>
      <div role="row" aria-rowindex={1} className={styles.row}>
        {p.choose && (
          <div role="columnheader" className={styles.check}>
            <Checkbox checked={some ? 'mixed' : all} aria-label={t.selectAll} disabled={p.shown.length === 0} onChange={() => p.choose?.(new Set(all ? [] : p.shown.map(p.id)))} />
          </div>
        )}
        {p.columns.map((c) => (
          <div key={c.key} role="columnheader" aria-sort={c.plain ? undefined : sorted(c.key)} className={p.cellClass(c)} style={p.share(c)}>
            {c.plain ? (
              c.title
            ) : (
              <button type="button" className={styles.sort} onClick={() => p.setOrder(next(c.key))} title={t.sortBy(c.title)}>
                {c.title}
                {p.order?.key === c.key && (p.order.down ? <ArrowDownRegular aria-hidden /> : <ArrowUpRegular aria-hidden />)}
              </button>
            )}
          </div>
        ))}
      </div>
    </div>
  )
}

function Empty({ filter, empty }: { filter: string; empty: ReactNode }) {
  const styles = useStyles()
  return (
    <div role="row" className={styles.empty}>
      <div role="gridcell">{filter ? t.noMatches(filter) : (empty ?? t.noRows)}</div>
    </div>
  )
}
