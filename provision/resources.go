package provision

import (
	"context"
	"crypto/x509"
	"encoding/json"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Call is a request to the management API from inside the service, made as a caller
// whose rights are checked as if it had come over the wire.
type Call struct {
	Principal   deskyard.Principal
	Method      string // PUT, GET, POST, PATCH, DELETE
	ID          arm.ResourceID
	Action      string // of a POST: "listRegistrationTokens"
	Version     string // api-version
	Body        json.RawMessage
	Correlation string // correlation id of the deployment
	// CheckOnly stops before anything is written: name, api-version, location, body,
	// rights. What needs other resources, which may not stand yet, is not looked at;
	// nor is the body when it is nil.
	CheckOnly bool
}

// Reply is the API's answer; errors come as *arm.Error.
type Reply struct {
	Status int
	Body   json.RawMessage
	// Row is, of a PUT that was only checked, what it would store, without what the
	// write itself fills in; nil where there was no body, or nothing would be stored.
	Row *deskyard.Resource
}

// Resources is the management API as deployments use it; armapi implements it.
type Resources interface {
	Do(ctx context.Context, c Call) (Reply, error)
	// Knows reports whether the API has a type, and lists its versions.
	Knows(resourceType string) (versions []string, known bool)
}

// Links says where linked templates may come from.
type Links struct {
	// Mirror maps prefixes of template URIs to folders or https URLs of the operator's;
	// the longest prefix wins. Nothing outside it and Hosts is ever fetched.
	Mirror map[string]string
	Hosts  []string // host names (with a port, unless 443) that https links may name as they are
	// Roots are the authorities that the TLS certificates of those hosts are checked
	// against; nil: the machine's own.
	Roots *x509.CertPool
}
