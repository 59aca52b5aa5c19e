// Download template and parameters: the same run for automation.
import { portalTexts } from '../../texts/en'
import { Panel } from '../../frame/Dialogs'

const t = portalTexts.add

export function Automation({ close }: { close: () => void }) {
  return (
    <Panel title={t.automation} close={close} wide>
      {t.automationHint}
    </Panel>
  )
}
