// Domain to join.
import { portalTexts } from '../../texts/en'
import { At, BoundRadio, BoundSecret, BoundText, choicesOf } from './Bound'
import { Choices } from './Choices'
import { stacked } from './draft'
import { useWizard } from './wizard'

const t = portalTexts.add

export function Domain() {
  const { draft } = useWizard()
  const stack = stacked(draft)
  const choices = choicesOf(t.directories, ['MicrosoftEntraID', 'ActiveDirectory', '']).filter((c) => !stack || c.value === 'ActiveDirectory')
  return (
    <>
      <BoundRadio name="directory" of={choices} hint={stack ? t.directoryStack : undefined} />
      {draft.directory === 'ActiveDirectory' && <ActiveDirectory />}
    </>
  )
}

function ActiveDirectory() {
  const { draft, set } = useWizard()
  return (
    <>
      <BoundText name="adDomainJoinUPN" type="email" required hint={t.upnHint} placeholder="join@example.org" />
      <BoundSecret name="adDomainJoinPassword" required />
      <BoundSecret name="adDomainJoinConfirmPassword" required />
      <At field="specifyDomain">
        <Choices label={t.fields.specifyDomain} hint={t.specifyHint} of={[{ value: 'yes', text: portalTexts.frame.yes }, { value: 'no', text: portalTexts.frame.no }]} value={draft.specifyDomain ? 'yes' : 'no'} change={(v) => set({ specifyDomain: v === 'yes' })} />
      </At>
      {draft.specifyDomain && (
        <>
          <BoundText name="domain" hint={t.domainHint} />
          <BoundText name="organizationalUnitPath" hint={t.ouHint} />
        </>
      )}
    </>
  )
}
