package armapi

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// ResourceType is one row of the table that the generic verbs are driven by: what
// a type is called, which versions and verbs it has, its rules and its hooks.
type ResourceType struct {
	Namespace  string   // "Microsoft.DesktopVirtualization"
	Path       string   // documented spelling of the collections: "hostPools/sessionHosts"
	Wire       string   // spelling in answers' id and type: "hostpools/sessionhosts"; "" is Path
	Versions   []string // api-versions, oldest first
	AnyVersion bool     // takes every well-formed api-version; Versions are those it lists
	Level      Level    // where it lives: in a resource group unless said otherwise
	Permission string   // what RBAC actions begin with; "" is Namespace/Wire
	Name       NameRule // of the last segment
	Tracked    bool     // has location and tags
	Composite  bool     // answers' name is "parent/name"
	Verbs      Verbs
	PutNew     int // status of a PUT that creates: 201 unless said otherwise

	UserIdentities bool // takes user-assigned identities
	Sparse         bool // answers leave unset members out, as all of Azure but AVD does

	// New makes an empty properties value (a pointer to a struct). It may be nil where
	// the type has no generic verb.
	New func() Model

	// BeforeWrite runs in the write transaction after validation: look at parents and
	// referred resources, fill in generated values (object id). old is nil on create.
	BeforeWrite func(ctx context.Context, w *Write) error
	// AfterWrite runs in the same transaction once the row stands (create children).
	AfterWrite func(ctx context.Context, w *Write) error
	// Submit hands a write (deskyard.JobPut), or the wish to delete (deskyard.JobDelete),
	// to whoever carries it out after the answer, in the same transaction once the row
	// stands; it sets Write.Operation, which clients poll. The model of such a type is
	// deskyard.Provisioned, and its row stays until the delete is done. nil: the type is
	// made and gone when the request is answered.
	Submit func(ctx context.Context, w *Write, verb string) error
	// Linked is the action that a caller needs on what a body refers to; "" for none. nil:
	// referring needs no right.
	Linked func(ref deskyard.Ref) string
	// BeforeDelete refuses a delete, or takes along what the generic cascade does not.
	BeforeDelete func(ctx context.Context, w *Write, force bool) error
	// AfterCommit runs outside the transaction (drop links of removed hosts); it cannot fail the request.
	AfterCommit func(ctx context.Context, w *Write)
	// Render turns rows into wire bodies, adding what is derived; nil: RenderPlain.
	// It gets a whole page, so that derived values cost one query a page.
	Render func(ctx context.Context, v View, rows []deskyard.Resource) ([]any, error)
	// Filter keeps a row under a $filter the type understands; nil: $filter is refused.
	Filter func(expr string) (func(deskyard.Resource) bool, error)

	Actions []Action
}

// Level is the scope that a type's top-level collection stands below.
type Level int

// The levels. A child type has its parent's.
const (
	InGroup        Level = iota // /subscriptions/{s}/resourceGroups/{rg}/providers/…
	InSubscription              // /subscriptions/{s}/providers/…
	InTenant                    // /providers/…
	Extension                   // {any scope}/providers/…: role assignments, tags
)

// Verbs says which generic operations a type has.
type Verbs struct {
	Get, Put, Patch, Delete bool
	List                    bool // below its parent (the resource group for a top-level type)
	ListBySubscription      bool
	Paged                   bool // takes pageSize, isDescending, initialSkip
	DeletedBody             bool // DELETE answers the removed resource
}

// Action is a POST on a resource, or any method with a handler of its own.
type Action struct {
	Method     string // "POST" when empty
	Path       string // "retrieveRegistrationToken"; "" is the resource itself, overriding the generic verb
	Collection bool   // on the collection (list) instead of the resource
	Permission string // full RBAC action, documented spelling; "" lets every authenticated caller in
	// Instead gives another action and scope that let a caller in as well as Permission does.
	Instead  func(id arm.ResourceID) (action string, scope arm.ResourceID)
	Audit    bool     // audited though it writes nothing (key retrieval); writes always are
	Versions []string // nil: those of the type
	Handle   func(ctx context.Context, req *Request) (Response, error)
}

// NameRule bounds a resource name.
type NameRule struct {
	Min, Max int
	Pattern  *regexp.Regexp
}

// Model is a type's properties, as the root package has them.
type Model = deskyard.Model

// Write is a write under way, as the hooks see it.
type Write struct {
	Tx        deskyard.Tx
	Now       time.Time
	Principal deskyard.Principal
	Version   string             // api-version of the request
	Raw       map[string]any     // the body's "properties" as sent (lower-cased keys at the top level)
	Old, New  *deskyard.Resource // Old nil on create, New nil on delete
	OldModel  Model
	Model     Model           // hooks may change it; it is stored after BeforeWrite
	Secrets   json.RawMessage // what the body holds and the row must not, for Submit to have sealed
	Response  map[string]any  // extra members to set under "properties" of the answer (a token, shown once)
	Notes     []string        // details for the audit line
	Dropped   []string        // object ids of session hosts that go with it; AfterCommit closes their links

	// Operation is what goes on after the answer; set by a hook, it has clients poll it.
	Operation *deskyard.Operation
}

// View is what Render may know of the request.
type View struct {
	Reader  deskyard.Reader
	Fleet   deskyard.Fleet
	Now     time.Time
	Version string // api-version
	Written bool   // the body answers a PUT or PATCH
	List    bool
	Expand  string // $expand, lower case
}

// Door is a path that names no resource: a list over several types, a status, a
// document. Every part of Path is a word (any case) or a {variable}; {subscription}
// and {group} make up the Request's ID.
type Door struct {
	Method     string
	Path       string   // "/subscriptions/{subscription}/locations"
	Permission string   // RBAC action asked for at the ID; "" lets every authenticated caller in
	Public     bool     // needs no authentication
	Versions   []string // nil takes every well-formed api-version
	NoVersion  bool     // needs no api-version
	Audit      bool     // audited though it is a GET
	Handle     func(ctx context.Context, req *Request) (Response, error)
}

// Request is a decoded, authenticated, authorised request to an Action or a Door.
type Request struct {
	HTTP      *http.Request
	ID        arm.ResourceID    // of the resource, of a collection's parent, or of a door's scope
	Type      *ResourceType     // nil at a door
	Vars      map[string]string // a door's variables, as sent
	Version   string
	Body      []byte // bounded; empty when none was sent
	Principal deskyard.Principal
	BaseURL   string // scheme and host as the client used them, for absolute links
	Detail    string // the action sets it for the audit line

	server *Server
	audit  *auditor
	query  queryParams
}

// Response is what an Action answers.
type Response struct {
	Status int // 200 when zero
	Body   any // encoded as JSON; nil: none
	Header http.Header
}
