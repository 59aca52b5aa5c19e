// The apps that a RemoteApp group publishes.
import { Button } from '@fluentui/react-components'
import { AddRegular, DeleteRegular } from '@fluentui/react-icons'
import { useState } from 'react'
import { useList, useService } from '../../arm/context'
import { nameOf } from '../../arm/ids'
import { useMay } from '../../arm/permissions'
import type { Application } from '../../arm/types-publish'
import { Panel } from '../../frame/Dialogs'
import { SelectField, SwitchField, TextField } from '../../frame/Fields'
import { useFindings } from '../../frame/form'
import { Grid, type Column } from '../../frame/Grid'
import { act } from '../../frame/notifications'
import { CommandButton } from '../../frame/Page'
import { portalTexts } from '../../texts/en'

const t = portalTexts.publish
const at = 'Microsoft.DesktopVirtualization/applicationGroups/applications'

export function Apps({ group }: { group: string }) {
  const { arm, live } = useService()
  const path = `${group}/applications`
  const list = useList<Application>(path)
  const may = useMay(group)
  const [adding, setAdding] = useState(false)
  const remove = (a: Application) => void act(t.removingApp(nameOf(a.id)), () => arm.remove(a.id)).then(() => live.reload(path))
  const columns: Column<Application>[] = [
    { key: 'name', title: t.app, value: (a) => a.properties.friendlyName || nameOf(a.id), rank: 1 },
    { key: 'path', title: t.filePath, value: (a) => a.properties.filePath ?? '', wide: 2, rank: 1 },
    { key: 'arguments', title: t.commandLine, value: (a) => a.properties.commandLineArguments ?? '', rank: 3 },
    { key: 'setting', title: t.commandLineSetting, value: (a) => t.commandLineSettings[a.properties.commandLineSetting] ?? '', rank: 3 },
    { key: 'shown', title: t.showInPortal, value: (a) => (a.properties.showInPortal === false ? portalTexts.frame.no : portalTexts.frame.yes), rank: 2, wide: 0.6 },
    {
      key: 'actions', title: t.actions, value: () => '', plain: true, rank: 1, wide: 0.5,
      cell: (a) => may(`${at}/delete`) && <Button size="small" appearance="subtle" icon={<DeleteRegular />} aria-label={t.removingApp(nameOf(a.id))} onClick={() => remove(a)} />,
    },
  ]
  const add = { key: 'add', text: t.addApp, icon: <AddRegular />, run: () => setAdding(true), lacks: !may(`${at}/write`) && `${at}/write` }
  return (
    <>
      <Grid label={t.apps} columns={columns} rows={list.data} id={(a) => a.id} empty={t.appsEmpty} tools={<CommandButton command={add} />} name="apps" />
      {adding && <AppForm path={path} close={() => setAdding(false)} />}
    </>
  )
}

function AppForm({ path, close }: { path: string; close: () => void }) {
  const { arm, live } = useService()
  const [name, setName] = useState('')
  const [friendly, setFriendly] = useState('')
  const [file, setFile] = useState('')
  const [setting, setSetting] = useState('DoNotAllow')
  const [words, setWords] = useState('')
  const [icon, setIcon] = useState('')
  const [shown, setShown] = useState(true)
  const { show, finding } = useFindings()
  const run = async () => {
    const properties = {
      friendlyName: friendly || name, filePath: file, commandLineSetting: setting, showInPortal: shown, applicationType: 'InBuilt',
      ...(setting === 'Require' ? { commandLineArguments: words } : {}), ...(icon ? { iconPath: icon, iconIndex: 0 } : {}),
    }
    const failed = await act(t.addingApp(name), () => arm.put(`${path}/${encodeURIComponent(name)}`, { properties }, { ifNoneMatch: '*' }))
    show(failed)
    live.reload(path)
    return failed
  }
  return (
    <Panel title={t.addApp} close={close} doIt={t.addApp} run={run} disabled={!name || !file}>
      <TextField label={t.name} value={name} change={setName} required error={finding('name')} />
      <TextField label={t.friendlyName} value={friendly} change={setFriendly} error={finding('friendlyName')} />
      <TextField label={t.filePath} hint={t.filePathHint} value={file} change={setFile} required error={finding('filePath')} />
      <SelectField label={t.commandLineSetting} value={setting} change={setSetting} of={Object.entries(t.commandLineSettings).map(([value, text]) => ({ value, text }))} error={finding('commandLineSetting')} />
      {setting === 'Require' && <TextField label={t.commandLine} value={words} change={setWords} error={finding('commandLineArguments')} />}
      <TextField label={t.iconPath} hint={t.iconPathHint} value={icon} change={setIcon} error={finding('iconPath')} />
      <SwitchField label={t.showInPortal} value={shown} change={setShown} />
    </Panel>
  )
}
