import { Page } from '../../frame/Page'
import { portalTexts } from '../../texts/en'
import { HostList } from './HostList'

/** The session hosts of all pools. */
export default function Hosts() {
  return (
    <Page title={portalTexts.hosts.hosts} fill>
      <HostList />
    </Page>
  )
}
