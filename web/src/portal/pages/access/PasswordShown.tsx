import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle } from '@fluentui/react-components'
import { Code } from '../../frame/Details'
import { portalTexts } from '../../texts/en'

const t = portalTexts.access

/** Shows a password once. */
export function PasswordShown({ name, password, close }: { name: string; password: string; close: () => void }) {
  return (
    <Dialog open modalType="alert">
      <DialogSurface>
        <DialogBody>
          <DialogTitle>{t.newPassword(name)}</DialogTitle>
          <DialogContent>
            {t.newPasswordText}
            <Code text={password} label={t.password} />
          </DialogContent>
          <DialogActions>
            <Button appearance="primary" onClick={close}>
              {portalTexts.frame.close}
            </Button>
          </DialogActions>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  )
}
