// What the users' door of the service says (paths below /connect/v1/).

export interface Feed {
  user?: string
  workspaces: Workspace[]
}

export interface Workspace {
  id: string
  name: string
  friendlyName: string
  description?: string
  resources: Resource[]
}

export interface Resource {
  id: string
  name: string
  friendlyName: string
  type: 'Desktop' | 'RemoteApp'
  description?: string
  /** Whether a browser can show it; an app of Windows has windows of its own, which none can. */
  inBrowser: boolean
  hostPool: string
  rdp: string
  icon: string
}

/** What a client needs to go on to the gateway. The ticket is good once, and until expires. */
export interface Grant {
  connectionId: string
  gateway: string
  ticket: string
  host: string
  expires: string
}

/** Why there is no session. */
export interface Failure {
  code?: number
  symbol: string
  message: string
  next?: string
  /** Try again then; absent: it will not help. */
  retryAfterSeconds?: number
  correlationId?: string
}

/** What became of a connection. */
export interface Progress {
  connectionId: string
  state: 'Started' | 'Connected' | 'Completed' | 'Failed'
  host?: string
  failure?: Failure
  ended?: string
}
