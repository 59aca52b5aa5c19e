import { Text } from '@fluentui/react-components'
import { useEffect, useState } from 'react'
import { texts } from '../texts'

/** Seconds until a time, counted where only sighted people see each one. */
export function Countdown({ until }: { until: number }) {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 250)
    return () => clearInterval(timer)
  }, [])
  return (
    <Text role="timer" aria-live="off" weight="semibold">
      {texts.retryIn(Math.max(0, Math.ceil((until - now) / 1000)))}
    </Text>
  )
}
