package rdp

// Redirection is what a client of AVD's own connection request is told: where to bring
// its RDP, and what to encrypt its password with.
type Redirection struct {
	Path        string // below the gateway's base URL, with a query
	ID          string // a GUID in braces: redirectedAuthGuid
	AuthBlob    string // redirectedAuthBlob
	Certificate string // redirectedServerCert
}
