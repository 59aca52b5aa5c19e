import { Door } from './auth/Door'
import { beginSignIn } from './auth/oidc'
import { Shell } from './pages/Shell'
import { texts } from './texts'

export function App() {
  return <Door texts={{ ...texts, network: texts.failures.network }} inside={(who) => <Shell who={who} signIn={() => void beginSignIn()} />} />
}
