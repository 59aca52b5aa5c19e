// Download template and parameters: the same run for automation.
import { Button, Tab, TabList, Text, makeStyles, tokens } from '@fluentui/react-components'
import { ArrowDownloadRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { pace, useLive, useResource, useService } from '../../arm/context'
import { parseID } from '../../arm/ids'
import type { Resource } from '../../arm/types'
import { Code, download } from '../../frame/Details'
import { Panel } from '../../frame/Dialogs'
import { ErrorNotice } from '../../frame/ErrorNotice'
import { portalTexts } from '../../texts/en'
import { osOf, parametersFile, templateOf, templateText, valuesOf, type Facts } from './automation'
import { imageKey, useNamesInUse } from './choices'
import { azCommand, deskyardCommand } from './commands'
import { stacked } from './draft'
import { namesFor } from './names'
import { terraformText } from './terraform'
import { useWizard } from './wizard'

const t = portalTexts.add

const useStyles = makeStyles({
  tabs: { flexWrap: 'wrap', flexShrink: 0 },
  buttons: { display: 'flex', flexWrap: 'wrap', gap: tokens.spacingHorizontalS },
})

type FormName = keyof typeof t.forms

/** What each form is called as a file. */
const ends: Record<FormName, string> = { template: '.json', parameters: '.parameters.json', cli: '.sh', az: '.az.sh', terraform: '.tf' }
const types: Partial<Record<FormName, string>> = { template: 'application/json', parameters: 'application/json' }

/** The texts of all forms, once what they need is known. */
function useForms() {
  const { arm, subscription } = useService()
  const { pool, draft, check, passed } = useWizard()
  const { names } = useNamesInUse(pool.id, draft.resourceGroup)
  const stack = stacked(draft)
  const location = useResource<Resource>(stack ? draft.customLocation : '', pace.once)
  const os = useLive(`system of ${imageKey(draft.imageReference)}`, () => osOf(arm, subscription, draft.location, draft.imageReference), pace.once)
  const template = useLive(`template of ${draft.virtualMachineType}`, () => templateText(stack), pace.once)
  const prefix = draft.namePrefix.trim() || 'host'
  const facts: Facts = {
    subscription, pool: pool.name, poolGroup: parseID(pool.id).group, os: os.data ?? 'linux',
    names: passed && check.answer ? check.answer.sessionHostNames : namesFor(prefix, draft.numberOfVirtualMachines ?? 0, names),
  }
  const file = `addSessionHosts-${prefix}`
  const json = (v: unknown) => JSON.stringify(v, null, 2) + '\n'
  const texts: Record<FormName, string> = {
    template: template.data ? json(templateOf(template.data, draft)) : '',
    parameters: json(parametersFile(valuesOf(draft, facts, location.data?.body.location))),
    cli: deskyardCommand(draft, facts) + '\n', az: azCommand(draft, facts, file), terraform: terraformText(draft, facts, file),
  }
  return { texts, file, error: template.error ?? os.error }
}

export function Automation({ close }: { close: () => void }) {
  const styles = useStyles()
  const { draft } = useWizard()
  const { texts, file, error } = useForms()
  const [form, show] = useState<FormName>('template')
  const save = (name: FormName) => download(texts[name], file + ends[name], types[name])
  const both = () => {
    save('template')
    save('parameters')
  }
  const hint = form === 'terraform' && stacked(draft) ? t.formHints.terraformStack : t.formHints[form]
  return (
    <Panel title={t.automation} close={close} wide>
      <Text>{t.automationHint}</Text>
      <ErrorNotice error={error} />
      <div className={styles.buttons}>
        <Button appearance="primary" icon={<ArrowDownloadRegular />} disabled={!texts.template} onClick={both}>
          {t.downloadBoth}
        </Button>
        <Button icon={<ArrowDownloadRegular />} disabled={!texts[form]} onClick={() => save(form)}>
          {portalTexts.frame.download}: {file + ends[form]}
        </Button>
      </div>
      <TabList className={styles.tabs} selectedValue={form} onTabSelect={(_, d) => show(d.value as FormName)}>
        {Object.entries(t.forms).map(([name, text]) => (
          <Tab key={name} value={name}>
            {text}
          </Tab>
        ))}
      </TabList>
      <Text>{hint}</Text>
      <Code text={texts[form]} label={t.forms[form]} />
    </Panel>
  )
}
