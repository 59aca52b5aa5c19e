// Shapes of the management API, as far as the portal reads them.

/** Any resource. */
export interface Resource<P = unknown> {
  id: string
  name: string
  type: string
  location?: string
  kind?: string
  etag?: string
  tags?: Record<string, string>
  properties: P
}
