// Shapes of the activity log, deployments and connections.

/** EventData of Microsoft.Insights, as far as it is shown. */
export interface ActivityEvent {
  eventDataId: string
  eventTimestamp: string
  caller: string
  correlationId: string
  level: string
  operationName: { value: string }
  status: { value: string }
  subStatus: { value: string; localizedValue: string }
  resourceId: string
  httpRequest: { clientIpAddress?: string }
  properties: { message?: string; statusCode?: string }
}

export interface Deployment {
  provisioningState: string
  timestamp: string
  duration?: string
  mode?: string
  correlationId?: string
  parameters?: Record<string, { type?: string; value?: unknown }>
  outputs?: Record<string, { type?: string; value?: unknown }>
  error?: { code: string; message: string; details?: { code: string; message: string; target?: string }[] }
  outputResources?: { id: string }[]
}

export interface DeploymentOperation {
  operationId: string
  properties: {
    provisioningOperation: string
    provisioningState: string
    timestamp: string
    duration?: string
    statusCode?: string
    statusMessage?: { error?: { code: string; message: string } } | string
    targetResource?: { id: string; resourceType: string; resourceName: string }
  }
}

export interface Candidate {
  host: string
  sessions: number
  passed?: string
}

export interface Decision {
  rule: string
  host?: string
  reason: string
  considered: number
  candidates?: Candidate[]
  snapshot: string
}

export interface ConnectionFailure {
  code: number
  symbol: string
  message: string
  serviceError: boolean
  retryAfterSeconds?: number
}

export interface Connection {
  userPrincipalName: string
  resourceId: string
  sessionHostResourceId?: string
  sessionHostName?: string
  door: string
  client: { name?: string; os?: string; type?: string; version?: string; address?: string }
  gateway?: string
  state: string
  failure?: ConnectionFailure
  startTime: string
  endTime: string | null
  endReason?: string
  stages: { name: string; milliseconds: number }[]
  decision: Decision | null
  traffic: { fromClientBytes: number; fromHostBytes: number; rtt: number }
}

export interface WhatIf {
  userPrincipalName: string
  resourceName: string
  hostPoolName: string
  sessionHostName?: string
  result: string
  reason: string
  failure?: ConnectionFailure
  startsSessionHost?: string
  assigns?: boolean
  decision: Decision
}

/** A metric of Azure Monitor. */
export interface Metric {
  name: { value: string }
  unit: string
  timeseries: { data: { timeStamp: string; average?: number }[] }[]
}
