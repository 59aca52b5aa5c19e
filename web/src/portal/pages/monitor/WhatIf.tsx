// What the broker would decide for a user now, without anything happening.
import { Body1Strong, Button, Divider, MessageBar, MessageBarBody, makeStyles, tokens } from '@fluentui/react-components'
import { useState } from 'react'
import { useService } from '../../arm/context'
import { asArmError, type ArmError } from '../../arm/errors'
import type { WhatIf } from '../../arm/types-monitor'
import { Panel } from '../../frame/Dialogs'
import { ErrorNotice } from '../../frame/ErrorNotice'
import { Form, TextField } from '../../frame/Fields'
import { Status } from '../../frame/Status'
import { portalTexts } from '../../texts/en'
import { DecisionView } from './Decision'

const t = portalTexts.monitor

const useStyles = makeStyles({ one: { display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalS } })

/** Asks at a scope: a pool's id, or the subscription's Microsoft.DesktopVirtualization. */
export function WhatIfPanel({ scope, close }: { scope: string; close: () => void }) {
  const { arm } = useService()
  const styles = useStyles()
  const [user, setUser] = useState('')
  const [found, setFound] = useState<WhatIf[] | null>(null)
  const [error, setError] = useState<ArmError | null>(null)
  const ask = async () => {
    try {
      setFound((await arm.post<{ value: WhatIf[] }>(`${scope}/whatIfConnection`, { userPrincipalName: user })).value)
      setError(null)
    } catch (thrown) {
      setFound(null)
      setError(asArmError(thrown))
    }
  }
  return (
    <Panel title={t.whatIfTitle} close={close} wide>
      <Form submit={() => void ask()}>
        <TextField label={t.whatIfUser} hint={t.whatIfHint} value={user} change={setUser} required />
        <Button type="submit" appearance="primary" disabled={!user.trim()}>
          {t.whatIfRun}
        </Button>
      </Form>
      <ErrorNotice error={error} />
      <div role="status">
        {found?.length === 0 && (
          <MessageBar>
            <MessageBarBody>{t.whatIfNothing}</MessageBarBody>
          </MessageBar>
        )}
      </div>
      {found?.map((w) => (
        <section key={w.resourceName + w.hostPoolName} className={styles.one}>
          <Divider />
          <Body1Strong>
            {w.resourceName}, {w.hostPoolName}
          </Body1Strong>
          <Status tone={w.failure ? 'bad' : 'good'}>{w.result}</Status>
          <span>{w.failure?.message ?? w.reason}</span>
          {w.startsSessionHost && <span>{t.starts(w.startsSessionHost)}</span>}
          {w.assigns && <span>{t.assigns}</span>}
          <DecisionView decision={w.decision} />
        </section>
      ))}
    </Panel>
  )
}
