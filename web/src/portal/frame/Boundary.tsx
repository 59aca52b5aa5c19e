import { Component, type ReactNode } from 'react'
import { asArmError, type ArmError } from '../arm/errors'
import { ErrorNotice } from './ErrorNotice'

/** Shows what broke in a page; the rest of the portal stays. */
export class Boundary extends Component<{ children: ReactNode }, { error: ArmError | null }> {
  override state = { error: null }

  static getDerivedStateFromError(thrown: unknown) {
    return { error: asArmError(thrown) }
  }

  override render() {
    return this.state.error ? <ErrorNotice error={this.state.error} /> : this.props.children
  }
}
