// See all images, and change size: the whole lists beside the form.
import { Button } from '@fluentui/react-components'
import { useState } from 'react'
import { NumberField, Section } from '../../frame/Fields'
import { Panel } from '../../frame/Dialogs'
import { Grid, type Column } from '../../frame/Grid'
import { portalTexts } from '../../texts/en'
import type { Choice, Size } from './choices'

const t = portalTexts.add

interface Choosing<T> {
  choose: (chosen: T) => void
  close: () => void
}

/** The button at the end of a row. */
function selectColumn<T>(name: (row: T) => string, take: (row: T) => void): Column<T> {
  return {
    key: 'select', title: t.imageColumns.use, value: () => '', plain: true, rank: 1, wide: 0.7,
    cell: (row) => (
      <Button size="small" aria-label={`${t.select}: ${name(row)}`} onClick={() => take(row)}>
        {t.select}
      </Button>
    ),
  }
}

export function ImagePanel({ choices, choose, close }: Choosing<Choice> & { choices: Choice[] | undefined }) {
  const take = (c: Choice) => {
    choose(c)
    close()
  }
  const columns: Column<Choice>[] = [
    { key: 'name', title: t.imageColumns.name, value: (c) => c.text, cell: (c) => <span title={c.text}>{c.text}</span>, wide: 2.2, rank: 1 },
    { key: 'source', title: t.imageColumns.source, value: (c) => t.imageSources[c.source], rank: 2 },
    { key: 'version', title: t.imageColumns.version, value: (c) => c.version, wide: 0.8, rank: 1 },
    selectColumn((c) => `${c.text} ${c.version}`, take),
  ]
  return (
    <Panel title={t.chooseImage} close={close} wide>
      <Grid label={t.images} columns={columns} rows={choices} id={(c) => c.key} open={take} empty={t.noImages} name="image" />
    </Panel>
  )
}

/** Users of a machine by the rule of thumb: 6 light, or 2 heavy ones, for each virtual processor. */
export const usersOf = (cores: number) => ({ light: cores * 6, heavy: cores * 2 })

export function SizePanel({ sizes, choose, close }: Choosing<string> & { sizes: Size[] | undefined }) {
  const take = (s: Size) => {
    choose(s.name)
    close()
  }
  const features = (s: Size) =>
    (['premium', 'hibernates', 'trusted', 'confidential'] as const).filter((f) => s[f]).map((f) => t.sizeFeatures[f]).join(', ')
  const columns: Column<Size>[] = [
    { key: 'name', title: t.sizeColumns.name, value: (s) => s.name, wide: 1.7, rank: 1 },
    { key: 'cores', title: t.sizeColumns.cores, value: (s) => s.cores, numeric: true, wide: 0.6, rank: 1 },
    { key: 'memory', title: t.sizeColumns.memory, value: (s) => s.memoryGB, numeric: true, rank: 1 },
    { key: 'users', title: t.sizeColumns.users, value: (s) => s.cores, cell: (s) => t.usersOf(usersOf(s.cores).heavy, usersOf(s.cores).light), numeric: true, rank: 2 },
    { key: 'features', title: t.sizeColumns.features, value: features, cell: (s) => <span title={features(s)}>{features(s)}</span>, wide: 2, rank: 2 },
    selectColumn((s) => s.name, take),
  ]
  return (
    <Panel title={t.chooseSize} close={close} wide>
      <p>{t.usersHint}</p>
      <Custom choose={choose} close={close} />
      <Grid label={t.fields.size} columns={columns} rows={sizes} id={(s) => s.name} open={take} name="size" />
    </Panel>
  )
}

/** A size of any number of processors and memory. */
function Custom({ choose, close }: Choosing<string>) {
  const [cores, setCores] = useState<number | null>(2)
  const [memory, setMemory] = useState<number | null>(4096)
  const take = () => {
    choose(`Custom_${cores}_${memory}`)
    close()
  }
  return (
    <Section title={t.customSize}>
      <NumberField label={t.customCores} value={cores} change={setCores} min={1} max={1024} />
      <NumberField label={t.customMemory} value={memory} change={setMemory} min={128} />
      <div>
        <Button disabled={!cores || !memory || memory < 128} onClick={take}>
          {t.useCustom}
        </Button>
      </div>
    </Section>
  )
}
