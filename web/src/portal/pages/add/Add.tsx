// The wizard that adds session hosts to a host pool: Basics, Virtual machines, Tags, Review + create.
import { Button, MessageBar, MessageBarBody, makeStyles, tokens } from '@fluentui/react-components'
import { ArrowDownloadRegular, ArrowResetRegular, CheckmarkCircleRegular, ErrorCircleRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { pace, useResource } from '../../arm/context'
import { parseID } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { PoolBasics } from '../../arm/types-wizard'
import { Confirm } from '../../frame/Dialogs'
import { ErrorNotice } from '../../frame/ErrorNotice'
import { Page } from '../../frame/Page'
import { Warning } from '../../frame/Warning'
import { href, useQuery } from '../../router'
import { portalTexts } from '../../texts/en'
import type { PageProps } from '..'
import { Automation } from './Automation'
import { Basics } from './Basics'
import { useAzureChoices, useNamesInUse } from './choices'
import { adding, useCreate } from './create'
import { kept, stacked } from './draft'
import { FindingList } from './FindingList'
import { tabs, type TabName } from './findings'
import { Machines } from './Machines'
import { Review } from './Review'
import { Tags } from './Tags'
import { useWizardOf, WizardContext, type Wizard } from './wizard'

const t = portalTexts.add

const useStyles = makeStyles({
  bar: { position: 'sticky', bottom: 0, display: 'flex', flexWrap: 'wrap', gap: tokens.spacingHorizontalS, padding: `${tokens.spacingVerticalM} 0`, marginTop: 'auto', backgroundColor: tokens.colorNeutralBackground1, borderTop: `1px solid ${tokens.colorNeutralStroke2}`, zIndex: 1 },
  error: { flexBasis: '100%', maxHeight: '40vh', overflowY: 'auto' },
})

const crumbsOf = (pool: string) => [{ text: t.hostPools, to: href('hostpools') }, { text: parseID(pool).name, to: href('hostpool', pool, { tab: 'hosts' }) }]

export default function Add({ id }: PageProps) {
  const known = useResource<PoolBasics>(id, pace.slow)
  const may = useMay(id)
  const pool = known.data?.body
  if (pool && may.known && may(adding)) return <TheWizard pool={{ ...pool, id }} />
  return (
    <Page title={t.title} crumbs={crumbsOf(id)} known={known}>
      {may.known && !may(adding) && <Warning title={t.mayNot}>{t.mayNotText(adding, id)}</Warning>}
    </Page>
  )
}

function TheWizard({ pool }: { pool: PoolBasics }) {
  const [shown, show] = useQuery('tab', 'basics')
  const tab = tabs.find((x) => x === shown) ?? 'basics'
  const wizard = useWizardOf(pool, tab)
  // Watched for as long as the wizard is open, so that no tab asks for them anew.
  useNamesInUse(pool.id, wizard.draft.resourceGroup)
  useAzureChoices(stacked(wizard.draft) ? '' : wizard.draft.location, wizard.draft.resourceGroup)
  const [asked, ask] = useState<'restart' | 'automation' | null>(null)
  const [again] = useState(() => kept(pool.id) !== null)
  const marks = tabs.map((key) => markOf(key, wizard))
  const commands = [
    { key: 'automation', text: t.automation, icon: <ArrowDownloadRegular />, run: () => ask('automation') },
    { key: 'restart', text: t.restart, icon: <ArrowResetRegular />, run: () => ask('restart') },
  ]
  const restart = () => {
    wizard.restart()
    show('basics')
  }
  return (
    <WizardContext value={wizard}>
      <Page title={t.title} under={pool.name} crumbs={crumbsOf(pool.id)} tabs={marks} commands={commands}>
        {again && tab !== 'review' && !wizard.secrets.password && (
          <MessageBar>
            <MessageBarBody>{t.kept}</MessageBarBody>
          </MessageBar>
        )}
        {tab === 'machines' && wizard.found.some((f) => f.tab === tab) && <FindingList />}
        {tab === 'basics' && <Basics />}
        {tab === 'machines' && <Machines />}
        {tab === 'tags' && <Tags />}
        {tab === 'review' && <Review />}
        <Steps tab={tab} show={show} />
      </Page>
      {asked === 'automation' && <Automation close={() => ask(null)} />}
      {asked === 'restart' && (
        <Confirm title={t.restartTitle} doIt={t.restart} run={restart} close={() => ask(null)}>
          {t.restartText}
        </Confirm>
      )}
    </WizardContext>
  )
}

/** A tab with how it stands, by icon and word. */
function markOf(key: TabName, w: Wizard) {
  const n = w.found.filter((f) => f.tab === key).length
  if (n > 0) return { key, text: t.toCorrect(t.tabs[key], n), icon: <ErrorCircleRegular primaryFill={tokens.colorPaletteRedForeground1} /> }
  if (w.passed && key !== 'review') return { key, text: t.tabs[key], icon: <CheckmarkCircleRegular aria-label={t.passed} primaryFill={tokens.colorPaletteGreenForeground1} /> }
  return { key, text: t.tabs[key] }
}

/** Previous, next, create. */
function Steps({ tab, show }: { tab: TabName; show: (tab: string) => void }) {
  const styles = useStyles()
  const w = useCreate()
  const at = tabs.indexOf(tab)
  return (
    <div className={styles.bar}>
      {tab === 'review' && w.error && (
        <div className={styles.error}>
          <ErrorNotice error={w.error} />
        </div>
      )}
      {tab === 'review' ? (
        <Button appearance="primary" disabled={!w.ready} onClick={w.create}>
          {t.create}
        </Button>
      ) : (
        <Button appearance="primary" onClick={() => show(tabs[at + 1] ?? 'review')}>
          {t.next[tab]}
        </Button>
      )}
      {at > 0 && <Button onClick={() => show(tabs[at - 1] ?? 'basics')}>{t.previous}</Button>}
      {tab !== 'review' && tab !== 'tags' && <Button onClick={() => show('review')}>{t.review}</Button>}
    </div>
  )
}
