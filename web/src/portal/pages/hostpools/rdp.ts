// Custom RDP properties: their text, and what of it the editor knows.

/** One property. */
export interface Property {
  name: string
  type: string
  value: string
}

/** Splits name:type:value;… as the service does; bad are the pieces without that form. */
export function parse(text: string): { properties: Property[]; bad: string[] } {
  const properties: Property[] = []
  const bad: string[] = []
  for (const piece of text.split(';').filter((p) => p.trim())) {
    const found = /^\s*([^:]+):([isb]):(.*)$/is.exec(piece)
    const type = found?.[2]?.toLowerCase() ?? ''
    if (!found || (type === 'i' && !/^\s*-?\d+\s*$/.test(found[3] ?? ''))) bad.push(piece.trim())
    else properties.push({ name: found[1]!.trim().toLowerCase(), type, value: found[3] ?? '' })
  }
  return { properties, bad }
}

/** The text of properties. */
export const format = (properties: Property[]) => properties.map((p) => `${p.name}:${p.type}:${p.value};`).join('')

/** The text with a property set to a value, or without it for undefined; all others stay as they are. */
export function withProperty(text: string, name: string, type: string, value: string | undefined): string {
  const { properties } = parse(text)
  const at = properties.findIndex((p) => p.name === name)
  const own: Property[] = value === undefined ? [] : [{ name, type, value }]
  if (at < 0) return format([...properties, ...own])
  return format([...properties.slice(0, at), ...own, ...properties.slice(at + 1)])
}

/** How a property is asked for: one of some values, by the keys of their words, or a text or number. */
export interface Known {
  name: string
  type: 'i' | 's'
  /** Values and the keys of their words; free where there are none. */
  of?: Record<string, string>
}

const onOff = { '1': 'on', '0': 'off' }
const flag = (name: string): Known => ({ name, type: 'i', of: onOff })
const devices = (name: string): Known => ({ name, type: 's' })

/** The properties that the editor asks for, as AVD's portal groups them. */
export const groups: Record<string, Known[]> = {
  connection: [flag('enablerdsaadauth'), flag('enablecredsspsupport'), flag('targetisaadjoined'), flag('redirectwebauthn')],
  behaviour: [flag('autoreconnection enabled'), flag('bandwidthautodetect'), flag('networkautodetect'), flag('compression'), flag('videoplaybackmode')],
  devices: [
    { name: 'audiomode', type: 'i', of: { '0': 'soundHere', '1': 'soundThere', '2': 'soundOff' } }, flag('audiocapturemode'), devices('camerastoredirect'), devices('drivestoredirect'), devices('devicestoredirect'), devices('usbdevicestoredirect'),
    flag('redirectclipboard'), flag('redirectcomports'), flag('redirectlocation'), flag('redirectprinters'), flag('redirectsmartcards'), { name: 'keyboardhook', type: 'i', of: { '0': 'keysHere', '1': 'keysThere', '2': 'keysFull' } },
  ],
  display: [
    flag('use multimon'), devices('selectedmonitors'), flag('maximizetocurrentdisplays'), flag('singlemoninwindowedmode'), { name: 'screen mode id', type: 'i', of: { '1': 'window', '2': 'full' } }, flag('smart sizing'), flag('dynamic resolution'),
    { name: 'desktopwidth', type: 'i' }, { name: 'desktopheight', type: 'i' }, { name: 'desktopscalefactor', type: 'i' },
  ],
}

const known = new Set(Object.values(groups).flat().map((k) => k.name))

/** The properties of a text that the editor has no field for. */
export const others = (text: string) => parse(text).properties.filter((p) => !known.has(p.name))
