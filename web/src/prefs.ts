// What a person chose, kept by the browser.
import { useSyncExternalStore } from 'react'
import { isLayout } from './session/layouts'
import type { Choice } from './texts'

export interface Prefs {
  theme: Choice<'themes'>
  scale: Choice<'scales'>
  picture: Choice<'pictures'>
  keyboard: Choice<'keyboards'>
  /** What this device's keys are labelled with: 'auto' by the browser's language, or a number of layouts.ts. */
  layout: string
}

const key = 'deskyard.prefs'
const allowed: { [K in Exclude<keyof Prefs, 'layout'>]: readonly Prefs[K][] } = {
  theme: ['system', 'light', 'dark'],
  scale: ['fit', 'full', 'real'],
  picture: ['standard', 'sharp', 'economy'],
  keyboard: ['scancode', 'unicode'],
}

let current = load()
const listeners = new Set<() => void>()

/** A device without a keyboard of its own sends characters: there are no physical keys. */
function defaults(): Prefs {
  const touch = typeof matchMedia === 'function' && matchMedia('(pointer: coarse)').matches
  return { theme: 'system', scale: 'fit', picture: 'standard', keyboard: touch ? 'unicode' : 'scancode', layout: 'auto' }
}

function load(): Prefs {
  const prefs = defaults()
  try {
    const stored = JSON.parse(localStorage.getItem(key) ?? '{}') as Record<string, unknown>
    for (const name of Object.keys(allowed) as (keyof typeof allowed)[]) {
      if ((allowed[name] as readonly unknown[]).includes(stored[name])) Object.assign(prefs, { [name]: stored[name] })
    }
    if (isLayout(stored.layout)) prefs.layout = stored.layout
  } catch {
    // What is stored is not ours, or storage is forbidden: the defaults serve.
  }
  return prefs
}

export function setPref<K extends keyof Prefs>(name: K, value: Prefs[K]): void {
  current = { ...current, [name]: value }
  try {
    localStorage.setItem(key, JSON.stringify(current))
  } catch {
    // Storage is forbidden: the choice holds until the page is left.
  }
  listeners.forEach((l) => l())
}

export const prefs = (): Prefs => current

export function subscribePrefs(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export const usePrefs = (): Prefs => useSyncExternalStore(subscribePrefs, prefs)
