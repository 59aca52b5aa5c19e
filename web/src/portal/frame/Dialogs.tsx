import {
  Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, DrawerBody, DrawerFooter, DrawerHeader, DrawerHeaderTitle, Field, Input, OverlayDrawer, makeStyles, tokens,
} from '@fluentui/react-components'
import { DismissRegular } from '@fluentui/react-icons'
import { useEffect, useMemo, useState, type ReactNode } from 'react'
import type { ArmError } from '../arm/errors'
import { portalTexts } from '../texts/en'
import { ErrorNotice } from './ErrorNotice'

const t = portalTexts.frame

const useStyles = makeStyles({
  footer: { display: 'flex', gap: tokens.spacingHorizontalS },
  content: { display: 'flex', flexDirection: 'column', gap: tokens.spacingVerticalM },
})

/**
 * Gives the focus back to what had it before a dialog opened, once it has closed; to the
 * page's heading where that is gone.
 */
export function useFocusBack(open = true) {
  const opener = useMemo(() => (open ? document.activeElement : null), [open])
  useEffect(() => {
    if (!open) return undefined
    return () => {
      requestAnimationFrame(() => {
        if (document.activeElement && document.activeElement !== document.body) return
        const to = opener instanceof HTMLElement && opener.isConnected ? opener : document.querySelector<HTMLElement>('main h1')
        to?.focus()
      })
    }
  }, [open, opener])
}

interface ConfirmProps {
  title: string
  children: ReactNode
  /** The word on the button that does it. */
  doIt: string
  /** What must be typed first, for what cannot be undone. */
  type?: string
  /** It cannot be done now; the text says why. */
  blocked?: boolean
  run: () => void
  close: () => void
}

/** Asks before something is done. */
export function Confirm(p: ConfirmProps) {
  const styles = useStyles()
  useFocusBack()
  const [typed, setTyped] = useState('')
  return (
    <Dialog open modalType="alert" onOpenChange={(_, d) => !d.open && p.close()}>
      <DialogSurface>
        <form
          onSubmit={(e) => {
            e.preventDefault()
            p.close()
            p.run()
          }}
        >
          <DialogBody>
            <DialogTitle>{p.title}</DialogTitle>
            <DialogContent className={styles.content}>
              {p.children}
              {p.type && !p.blocked && (
                <Field label={t.typeToConfirm(p.type)}>
                  <Input value={typed} onChange={(_, d) => setTyped(d.value)} autoComplete="off" />
                </Field>
              )}
            </DialogContent>
            <DialogActions>
              <Button onClick={p.close}>{t.cancel}</Button>
              <Button type="submit" appearance="primary" disabled={p.blocked || (p.type !== undefined && typed !== p.type)}>
                {p.doIt}
              </Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  )
}

interface PanelProps {
  title: string
  children: ReactNode
  close: () => void
  /** The word on the button that does it, and what it does: it resolves to null where that went well. */
  doIt?: string
  run?: () => Promise<ArmError | null>
  disabled?: boolean
  wide?: boolean
  /** It does not close by itself when its work went well: there is something more to show. */
  stays?: boolean
}

/** A form at the side of the page; it stays open with what was typed until its work went well. */
export function Panel(p: PanelProps) {
  const styles = useStyles()
  useFocusBack()
  const [error, setError] = useState<ArmError | null>(null)
  const [busy, setBusy] = useState(false)
  const run = async () => {
    if (!p.run) return
    setBusy(true)
    const failed = await p.run()
    setBusy(false)
    setError(failed)
    if (!failed && !p.stays) p.close()
  }
  return (
    <OverlayDrawer open position="end" size={p.wide ? 'large' : 'medium'} onOpenChange={(_, d) => !d.open && !busy && p.close()} aria-label={p.title}>
      <DrawerHeader>
        <DrawerHeaderTitle action={<Button appearance="subtle" icon={<DismissRegular />} aria-label={t.close} disabled={busy} onClick={p.close} />}>{p.title}</DrawerHeaderTitle>
      </DrawerHeader>
      <DrawerBody className={styles.content}>
        <ErrorNotice error={error} />
        {p.children}
      </DrawerBody>
      {p.run && (
        <DrawerFooter className={styles.footer}>
          {/* Still focusable while it works: a disabled button would drop the focus, and Escape with it. */}
          <Button appearance="primary" disabled={p.disabled ?? false} disabledFocusable={busy} onClick={() => void run()}>
            {p.doIt ?? t.save}
          </Button>
          <Button disabled={busy} onClick={p.close}>
            {t.cancel}
          </Button>
        </DrawerFooter>
      )}
    </OverlayDrawer>
  )
}
