// Shapes of session hosts and user sessions.
import type { Resource } from './types'

export interface HealthCheck {
  healthCheckName: string
  healthCheckResult: string
  additionalFailureDetails: { message: string; errorCode: number; lastHealthCheckDateTime: string | null } | null
}

export interface HostMetrics {
  cpuPercent: number
  load1: number
  memoryUsedBytes: number
  memoryTotalBytes: number
  diskUsedBytes: number
  diskTotalBytes: number
  roundTripSeconds: number
}

export type SessionHost = Resource<{
  friendlyName: string | null
  lastHeartBeat: string | null
  sessions: number | null
  agentVersion: string | null
  allowNewSession: boolean
  resourceId: string | null
  assignedUser: string | null
  status: string
  statusReason: string | null
  metrics: HostMetrics | null
  osVersion: string | null
  sxSStackVersion: string | null
  lastUpdateTime: string | null
  updateState: string
  updateErrorMessage: string
  sessionHostHealthCheckResults: HealthCheck[] | null
}>

export type UserSession = Resource<{ userPrincipalName: string; applicationType: string; sessionState: string; createTime: string | null }>

/** One change of a host's status. */
export interface StatusChange {
  timestamp: string
  status: string
  statusReason: string | null
}
