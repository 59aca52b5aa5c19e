// Signs the administrator in and shows the portal; signs in again in a window of its own
// when the sign-in has expired, so that nothing typed is lost.
import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, MessageBar, MessageBarBody } from '@fluentui/react-components'
import { useEffect, useMemo, useState } from 'react'
import { Door, Working } from '../auth/Door'
import type { SignedIn, TokenAnswer } from '../auth/oidc'
import { Notice } from '../pages/Notice'
import { Arm } from './arm/arm'
import { watchChanges } from './arm/changes'
import { ServiceContext, type Service } from './arm/context'
import { SignInExpired, asArmError } from './arm/errors'
import { Live } from './arm/live'
import { useFocusBack } from './frame/Dialogs'
import { Frame } from './frame/Frame'
import { portalTexts } from './texts/en'

const t = portalTexts.frame

/** The address of the window that signs in again, and the channel on which it hands over. */
const againHash = '#/signed-in-again'
const againChannel = 'deskyard.signin'

interface Again {
  user: string
  answer: TokenAnswer
}

/** Hands a new sign-in to the window that asked for it. */
function handOver(who: SignedIn): boolean {
  if (location.hash !== againHash) return false
  new BroadcastChannel(againChannel).postMessage({ user: who.user, answer: who.answer } satisfies Again)
  window.close()
  return true
}

export function App() {
  return <Door texts={{ ...t, network: t.connectionLost }} inside={(who) => <SignedInPortal who={who} />} handOver={handOver} handedOver={<Notice title={t.signIn} text={t.signedInAgain} />} />
}

interface Subscription {
  subscriptionId: string
  displayName: string
}

/** Finds the subscription and shows the portal on it. */
function SignedInPortal({ who }: { who: SignedIn }) {
  const arm = useMemo(() => new Arm(who), [who])
  const live = useMemo(() => new Live(), [])
  const [service, setService] = useState<Service | null>(null)
  const [failed, setFailed] = useState('')
  const [turn, setTurn] = useState(0)
  useEffect(() => {
    arm.list<Subscription>('/subscriptions').then(
      (all) => (all[0] ? setService({ arm, live, subscription: all[0].subscriptionId }) : setFailed(t.noSubscriptionHint)),
      (error: unknown) => setFailed(asArmError(error).message),
    )
  }, [arm, live, turn])
  useEffect(() => {
    if (!service) return
    const control = new AbortController()
    void watchChanges(arm, `/subscriptions/${service.subscription}`, (c) => live.hear(c), (working) => live.tellsOfChanges(working), control.signal)
    return () => control.abort()
  }, [arm, live, service])
  const retry = () => {
    setFailed('')
    setTurn(turn + 1)
  }
  if (failed) return <Notice title={failed === t.noSubscriptionHint ? t.noSubscription : t.errorTitle} text={failed} action={{ label: t.retry, run: retry }} other={{ label: t.signOut, run: () => who.signOut() }} />
  if (!service) return <Working text={t.loading} />
  return (
    <ServiceContext value={service}>
      <Frame user={who.user} signOut={() => who.signOut()} />
      <SignInAgain arm={arm} who={who} />
    </ServiceContext>
  )
}

/** The question for a new sign-in, while the page beneath keeps all that it has. */
function SignInAgain({ arm, who }: { arm: Arm; who: SignedIn }) {
  const [asked, setAsked] = useState<PromiseWithResolvers<void> | null>(null)
  const [said, setSaid] = useState('')
  useFocusBack(asked !== null)
  useEffect(() => {
    let waiting: PromiseWithResolvers<void> | null = null
    arm.onExpired = () => {
      if (!waiting) {
        const asking = withResolvers()
        waiting = asking
        const over = () => {
          waiting = null
          setAsked(null)
        }
        asking.promise.then(over, over)
        setAsked(asking)
      }
      return waiting.promise
    }
    const channel = new BroadcastChannel(againChannel)
    channel.onmessage = (e: MessageEvent<Again>) => {
      if (!waiting) return
      if (e.data.user !== who.user) return setSaid(t.signInOther(who.user, e.data.user))
      who.take(e.data.answer)
      setSaid('')
      waiting.resolve()
    }
    return () => channel.close()
  }, [arm, who])
  if (!asked) return null
  const open = () => setSaid(window.open(`/portal/${againHash}`, 'deskyard-signin', 'popup,width=520,height=680') ? '' : t.popupBlocked)
  return (
    <Dialog open modalType="alert">
      <DialogSurface>
        <DialogBody>
          <DialogTitle>{t.signInAgainTitle}</DialogTitle>
          <DialogContent>
            {t.signInAgain}
            {said && (
              <MessageBar intent="warning">
                <MessageBarBody>{said}</MessageBarBody>
              </MessageBar>
            )}
          </DialogContent>
          <DialogActions>
            <Button onClick={() => asked.reject(new SignInExpired())}>{t.cancel}</Button>
            <Button appearance="primary" onClick={open}>
              {t.signIn}
            </Button>
          </DialogActions>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  )
}

interface PromiseWithResolvers<T> {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (reason: unknown) => void
}

function withResolvers(): PromiseWithResolvers<void> {
  let resolve!: () => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
