// Times of registration keys: they are chosen in a zone and lie between bounds.

const hour = 3_600_000

/** The bounds of a key's life (registration-keys article): at least an hour, at most 27 days. */
export const bounds = { least: hour, most: 27 * 24 * hour }

const two = (n: number) => String(n).padStart(2, '0')

/** A moment as a date field and a time field have it, in the device's zone or in UTC. */
export function fieldsOf(at: number, utc: boolean): { date: string; time: string } {
  const d = new Date(at)
  return utc
    ? { date: d.toISOString().slice(0, 10), time: d.toISOString().slice(11, 16) }
    : { date: `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`, time: `${two(d.getHours())}:${two(d.getMinutes())}` }
}

/** The moment that a date field and a time field mean; NaN for none. */
export const momentOf = (date: string, time: string, utc: boolean) => Date.parse(`${date}T${time}${utc ? 'Z' : ''}`)

/** Whether a key may expire then. */
export const within = (at: number, now: number) => at >= now + bounds.least && at <= now + bounds.most

/** What joins a Debian machine with a key, in a shell of root. */
export const linuxCommand = (token: string) => `REGISTRATIONTOKEN='${token}' dpkg -i deskyard-agent_*.deb deskyard-bootloader_*.deb`

/** What joins a Windows machine with a key, in an elevated PowerShell. */
export const windowsCommand = (token: string) =>
  `Start-Process msiexec.exe -Wait -ArgumentList '/i', 'deskyard-agent.msi', '/quiet', 'REGISTRATIONTOKEN=${token}'\nStart-Process msiexec.exe -Wait -ArgumentList '/i', 'deskyard-bootloader.msi', '/quiet'`
