// What is done to session hosts, one or many at a time.
import type { Arm } from '../../arm/arm'
import { nameOf } from '../../arm/ids'
import { finished } from '../../arm/poll'
import type { SessionHost, UserSession } from '../../arm/types-hosts'
import { act, actOnEach } from '../../frame/notifications'
import { portalTexts } from '../../texts/en'

const t = portalTexts.hosts
const at = 'Microsoft.DesktopVirtualization/hostPools/sessionHosts'

/** Permissions of the actions: at the pool, but for those of machines. */
export const need = {
  write: `${at}/write`, remove: `${at}/delete`, message: `${at}/userSessions/sendMessage/action`, disconnect: `${at}/userSessions/disconnect/action`, signOut: `${at}/userSessions/delete`,
  restart: 'Microsoft.Compute/virtualMachines/restart/action', start: 'Microsoft.Compute/virtualMachines/start/action', stop: 'Microsoft.Compute/virtualMachines/deallocate/action',
  console: 'Microsoft.Compute/virtualMachines/retrieveBootDiagnosticsData/action',
}

/** What some hosts are called in a sentence. */
export const calling = (hosts: readonly SessionHost[]) => (hosts.length === 1 ? nameOf(hosts[0]!.id) : t.several(hosts.length))

const name = (h: SessionHost) => nameOf(h.id)

/** Whether a machine of this service belongs to a host. */
export const hasMachine = (h: SessionHost) => /\/virtualMachines\//i.test(h.properties.resourceId ?? '')

/** The machine of a host; it fails with the reason where there is none. */
function machineOf(h: SessionHost): string {
  if (!h.properties.resourceId || !hasMachine(h)) throw new Error(t.noMachine)
  return h.properties.resourceId
}

export const drain = (arm: Arm, hosts: readonly SessionHost[], on: boolean) => actOnEach(t.settingDrain(on, calling(hosts)), hosts, name, (h) => arm.patch(h.id, { properties: { allowNewSession: !on } }))

export const power = (arm: Arm, hosts: readonly SessionHost[], verb: 'restart' | 'start' | 'deallocate') => {
  const title = { restart: t.restarting, start: t.starting, deallocate: t.stopping }[verb](calling(hosts))
  return actOnEach(title, hosts, name, async (h) => finished(arm, await arm.send('POST', `${machineOf(h)}/${verb}`)))
}

/** Starts updates that wait, or have failed, without waiting for a maintenance window. */
export const updateNow = (arm: Arm, hosts: readonly SessionHost[]) => actOnEach(t.updating(calling(hosts)), hosts, name, (h) => arm.post(`${h.id}/update`))

/** How people are sent off a host that goes: graceSeconds after they were told; force goes on where a host does not answer. */
export interface Farewell {
  force: boolean
  graceSeconds: number
}

export const remove = (arm: Arm, hosts: readonly SessionHost[], o: Farewell & { deleteMachine: boolean }) =>
  actOnEach(t.removing(calling(hosts)), hosts, name, async (h) => finished(arm, await arm.send('POST', `${h.id}/remove`, o)))

export const replace = (arm: Arm, hosts: readonly SessionHost[], o: Farewell) =>
  actOnEach(t.replacing(calling(hosts)), hosts, name, async (h) => finished(arm, await arm.send('POST', `${h.id}/replace`, o)))

/** How many people have sessions on some hosts, as far as the hosts say. */
export const sessionsOn = (hosts: readonly SessionHost[]) => hosts.reduce((n, h) => n + (h.properties.sessions ?? 0), 0)

/** Whether somebody has the session already: who is still on the way has no desktop yet. */
export const stands = (s: UserSession) => s.properties.sessionState !== 'Pending'

/** Does something with every session on some hosts; it fails where nobody has one. */
function onSessions(arm: Arm, title: string, hosts: readonly SessionHost[], each: (s: UserSession) => Promise<unknown>) {
  const busy = hosts.filter((h) => h.properties.sessions !== 0)
  if (busy.length === 0) return actOnEach(title, [title], () => '', () => Promise.reject(new Error(t.nobodyThere)))
  return actOnEach(title, busy, name, async (h) => {
    const sessions = (await arm.list<UserSession>(`${h.id}/userSessions`)).filter(stands)
    if (sessions.length === 0) throw new Error(t.nobodyThere)
    await Promise.all(sessions.map(each))
  })
}

const say = (arm: Arm, s: UserSession, title: string, body: string) => arm.post(`${s.id}/sendMessage`, { messageTitle: title, messageBody: body })

/** Sends a message to everybody with a session on some hosts. */
export const message = (arm: Arm, hosts: readonly SessionHost[], title: string, body: string) => onSessions(arm, t.sending(calling(hosts)), hosts, (s) => say(arm, s, title, body))

/** Sends a message to one person. */
export const messageOne = (arm: Arm, s: UserSession, title: string, body: string) => act(t.sending(s.properties.userPrincipalName), () => say(arm, s, title, body))

/** Signs everybody out of some hosts. */
export const signOutAll = (arm: Arm, hosts: readonly SessionHost[]) => onSessions(arm, t.signingOutOf(calling(hosts)), hosts, (s) => arm.remove(`${s.id}?force=true`))
