import { Caption1, MessageBar, MessageBarBody, MessageBarTitle, makeStyles, tokens } from '@fluentui/react-components'
import type { ArmError } from '../arm/errors'
import { portalTexts } from '../texts/en'

const useStyles = makeStyles({
  bar: { marginBottom: tokens.spacingVerticalM },
  text: { display: 'block', overflowWrap: 'anywhere' },
  list: { margin: 0, paddingInlineStart: tokens.spacingHorizontalL },
})

/** What an error says to a person: the missing permission for a refusal. */
export function sentence(error: ArmError): string {
  const missing = error.missing
  return missing ? portalTexts.frame.missingAction(missing.action, missing.scope) : error.message
}

/** What went wrong, of which field, and the id by which the service's log knows it. */
export function ErrorNotice({ error, title }: { error: ArmError | null | undefined; title?: string }) {
  const styles = useStyles()
  if (!error) return null
  const details = error.findings.slice(1)
  return (
    <div role="alert">
      <MessageBar intent={error.lost ? 'warning' : 'error'} layout="multiline" className={styles.bar}>
        <MessageBarBody>
          <MessageBarTitle>{title ?? portalTexts.frame.errorTitle}</MessageBarTitle>
          <span className={styles.text}>{sentence(error)}</span>
          {details.length > 0 && (
            <ul className={styles.list}>
              {details.map((d, i) => (
                <li key={i}>{d.target ? `${d.target}: ${d.message}` : d.message}</li>
              ))}
            </ul>
          )}
          {error.more.correlationID && (
            <Caption1 className={styles.text}>
              {portalTexts.frame.correlation} {error.more.correlationID}
            </Caption1>
          )}
        </MessageBarBody>
      </MessageBar>
    </div>
  )
}
