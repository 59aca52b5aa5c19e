// What everything new is asked for first: its resource group, its name, its location.
import { Select } from '@fluentui/react-components'
import { useState } from 'react'
import { useGroups, useLocations, type Groups } from '../arm/places'
import { portalTexts } from '../texts/en'
import { SelectField, TextField } from './Fields'

const t = portalTexts.frame

export interface Place {
  groups: Groups
  /** The chosen resource group's id. */
  group: string
  setGroup: (id: string) => void
  name: string
  setName: (name: string) => void
  location: string
  setLocation: (name: string) => void
  /** Whether all that is needed is there. */
  ready: boolean
  /** The new thing's id. */
  id: (type: string) => string
}

/** Where something new is to stand; only groups in which the person may do the action are offered. */
export function usePlace(action: string): Place {
  const groups = useGroups(action)
  const [first] = useLocations()
  const [group, setGroup] = useState('')
  const [name, setName] = useState('')
  const [chosen, setLocation] = useState('')
  return {
    groups, group, setGroup, name, setName, setLocation, location: chosen || (first?.name ?? ''), ready: Boolean(group && name.trim()),
    id: (type) => `${group}/providers/${type}/${encodeURIComponent(name.trim())}`,
  }
}

type Finding = (field: string) => string | undefined

export function PlaceFields({ place: p, finding }: { place: Place; finding: Finding }) {
  return (
    <>
      <SelectField label={t.resourceGroup} value={p.group} change={p.setGroup} none="" required of={p.groups.data?.map((g) => ({ value: g.id, text: g.name })) ?? []} />
      <TextField label={t.name} value={p.name} change={p.setName} required error={finding('name')} />
      <LocationField value={p.location} change={p.setLocation} error={finding('location')} />
    </>
  )
}

export function LocationField(p: { value: string; change: (name: string) => void; error?: string | undefined }) {
  return <SelectField label={t.location} value={p.value} change={p.change} of={useLocations().map((l) => ({ value: l.name, text: l.displayName }))} error={p.error} />
}

/** The choice of a location above a list. */
export function LocationChoice(p: { value: string; change: (name: string) => void }) {
  return (
    <Select aria-label={t.location} value={p.value} onChange={(_, d) => p.change(d.value)}>
      {useLocations().map((l) => (
        <option key={l.name} value={l.name}>
          {l.displayName}
        </option>
      ))}
    </Select>
  )
}
