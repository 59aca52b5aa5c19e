// Tags as they are typed: a name and a value a row.

export interface Tag {
  name: string
  value: string
}

/** Tags as the management API has them; a row with nothing in it is none. */
export const tagsOf = (rows: readonly Tag[]): Record<string, string> => Object.fromEntries(rows.filter((r) => r.name || r.value).map((r) => [r.name.trim(), r.value.trim()]))
