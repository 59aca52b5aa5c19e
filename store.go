package deskyard

import (
	"context"
	"encoding/json"
	"time"

	"github.com/deskyard/deskyard/arm"
)

// Resource is one stored ARM resource: its envelope, and the properties of its
// type encoded as JSON (what a client set, or the service filled in; what can be
// derived from other rows is not stored).
type Resource struct {
	ID         arm.ResourceID
	Envelope   arm.Envelope
	Properties json.RawMessage
	Refs       []Ref // what it points at; replaced whole by each write
	Version    int64 // counts writes, from 1; its ETag
}

// Ref is a link from one resource to another, kept so that both ends can be
// listed: an application group's host pool, a workspace's application groups.
type Ref struct {
	Relation string // "hostPool", "applicationGroup", "scalingHostPool", "package"
	Target   arm.ResourceID
}

// ResourceQuery selects resources of one type below a scope.
type ResourceQuery struct {
	Scope      arm.ResourceID // a subscription, a group, or a parent resource; zero: everywhere
	Type       string         // full type, any case; "" for every tracked resource below Scope
	TagName    string         // "" for any
	TagValue   string
	Descending bool   // by name
	Skip       int    // rows to pass over first
	After      string // continue after this Key (exclusive); from a Page's Next
	Limit      int    // rows at most; 0: no bound
}

// Page is one page of a list; Next is "" on the last.
type Page[T any] struct {
	Items []T
	Next  string
}

// Reader reads the store. Every method answers a missing row with arm.NotFound
// (an *arm.Error of kind arm.Missing).
type Reader interface {
	Resource(ctx context.Context, id arm.ResourceID) (Resource, error)
	Resources(ctx context.Context, q ResourceQuery) (Page[Resource], error)
	// Referrers gives, per target key, the resources that point at it by relation.
	Referrers(ctx context.Context, relation string, targets ...arm.ResourceID) (map[string][]arm.ResourceID, error)

	SessionHost(ctx context.Context, id arm.ResourceID) (SessionHost, error)
	SessionHostByObjectID(ctx context.Context, objectID string) (SessionHost, error)
	SessionHosts(ctx context.Context, q HostQuery) (Page[SessionHost], error)
	CountSessionHosts(ctx context.Context, pool arm.ResourceID) (int, error)

	RegistrationKey(ctx context.Context, keyID string) (RegistrationKey, error)
	// RegistrationKeys lists a pool's keys, newest first, expired and revoked ones included.
	RegistrationKeys(ctx context.Context, poolObjectID string) ([]RegistrationKey, error)

	Operation(ctx context.Context, operationID string) (Operation, error)
	Work(ctx context.Context, kind string, id arm.ResourceID) (Work, error)
	Works(ctx context.Context, q WorkQuery) (Page[Work], error)
	// NextWork is the earliest instant that any work is due at; zero when none is.
	NextWork(ctx context.Context) (time.Time, error)
	Guest(ctx context.Context, machineID string) (Guest, error)
	// Slots lists places on session hosts; Pool's in no order, Host's by user, DueBy's by Due.
	Slots(ctx context.Context, q SlotQuery) ([]Slot, error)
	Connection(ctx context.Context, id string) (Connection, error)
	Connections(ctx context.Context, q ConnectionQuery) (Page[Connection], error)
	AuditEvents(ctx context.Context, q AuditQuery) (Page[AuditEvent], error)
	// Setting reads a small named document (signing keys, instance data); missing: arm.Missing.
	Setting(ctx context.Context, name string) (json.RawMessage, error)
}

// Tx reads and writes inside one transaction. Reads see the transaction's own writes.
type Tx interface {
	Reader

	// PutResource inserts (Version 0) or replaces (Version as read) a resource and
	// its refs; a Version that is no longer current is an arm.Precondition error.
	// It returns the resource with its new Version.
	PutResource(ctx context.Context, r Resource) (Resource, error)
	// DeleteResource removes a resource and everything below its id: children,
	// extension resources, session hosts, registration keys' pools, role assignments.
	DeleteResource(ctx context.Context, id arm.ResourceID) error

	PutSessionHost(ctx context.Context, h SessionHost) (SessionHost, error)
	DeleteSessionHost(ctx context.Context, id arm.ResourceID) error

	PutRegistrationKey(ctx context.Context, k RegistrationKey) error
	// UseRegistrationKey counts one enrolment in one statement and answers
	// ErrKeyExhausted when MaxUses is reached.
	UseRegistrationKey(ctx context.Context, keyID string) error

	PutOperation(ctx context.Context, o Operation) error
	// PutWork inserts (Version 0) or replaces (Version as read) a row of work; a Version
	// that is no longer current is an arm.Precondition error. Work outlives its resource.
	PutWork(ctx context.Context, w Work) (Work, error)
	// DeleteWork removes a row of work; one that is not there is no error.
	DeleteWork(ctx context.Context, kind string, id arm.ResourceID) error
	// PutGuest inserts (Version 0) or replaces (Version as read) a guest.
	PutGuest(ctx context.Context, g Guest) (Guest, error)
	DeleteGuest(ctx context.Context, machineID string) error
	// ReserveSlot takes a pending slot in one statement, or answers ErrHostFull where
	// limit others hold one (or the host is gone). A user who has a slot there keeps it,
	// and its Connection becomes s's.
	ReserveSlot(ctx context.Context, s Slot, limit int) error
	// PutSlot writes a slot without regard to limits: what a host reports is so. On a
	// host that is gone nothing is written.
	PutSlot(ctx context.Context, s Slot) error
	// ReleaseSlot removes the slot if it still has s's State and Connection; otherwise it
	// has become another's business. It answers whether it removed it.
	ReleaseSlot(ctx context.Context, s Slot) (bool, error)
	// PutConnection inserts or replaces the record of a connection. Its id is a UUID of
	// version 7.
	PutConnection(ctx context.Context, c Connection) error
	// PutConnectionRecord is PutConnection of what was encoded before.
	PutConnectionRecord(ctx context.Context, r ConnectionRecord) error
	// RedeemConnection notes that the connection's ticket was used, in one statement, or
	// answers ErrTicketUsed: this row is what makes tickets work once, over restarts too.
	RedeemConnection(ctx context.Context, id string, at time.Time) error
	AppendAudit(ctx context.Context, e AuditEvent) error
	PutSetting(ctx context.Context, name string, doc json.RawMessage) error
}

// Store is the service's durable memory: SQLite or PostgreSQL.
type Store interface {
	Reader
	// Write runs f in one transaction, durable when Write returns nil. f may run
	// more than once (a serialization failure) and may share a disk flush with
	// others, so it must be short, do no I/O but through tx, and have no effects
	// of its own. An error of f rolls back f's writes alone and is returned.
	Write(ctx context.Context, f func(ctx context.Context, tx Tx) error) error
	// Check proves that the store answers and can write; readiness asks it.
	Check(ctx context.Context) error
	Close() error
}

// HostQuery selects session hosts of one pool.
type HostQuery struct {
	Pool       arm.ResourceID // zero: every pool (then Scope decides)
	Scope      arm.ResourceID // subscription or group; used when Pool is zero
	Descending bool
	Skip       int
	After      string // Key of the last host of the page before
	Limit      int
}

// Operation is the record of a long-running operation.
type Operation struct {
	ID       string // GUID
	Scope    arm.ResourceID
	Status   string // Running | Succeeded | Failed | Canceled
	Started  time.Time
	Ended    time.Time
	Percent  float64
	Error    *arm.Error
	Result   json.RawMessage // body of the final answer, if it has one
	Location string          // id to GET when done, if any
}

// Done reports whether the operation has ended, in whichever way.
func (o Operation) Done() bool { return !o.Ended.IsZero() }

// AuditEvent is one line of the audit log: who did what to which object, from
// where, and what came of it. It never holds a secret.
type AuditEvent struct {
	ID          string    `json:"id"` // UUIDv7: sorts by time
	At          time.Time `json:"at"`
	Caller      string    `json:"caller"` // display name (UPN, application)
	CallerID    string    `json:"callerId"`
	CallerType  string    `json:"callerType"` // User | Application | Host | System
	Address     string    `json:"address"`
	Action      string    `json:"action"` // RBAC action string
	Scope       string    `json:"scope"`  // resource id
	Status      int       `json:"status"` // HTTP status answered
	Code        string    `json:"code"`   // error code, "" on success
	Correlation string    `json:"correlationId"`
	Detail      string    `json:"detail,omitempty"`
}

// AuditQuery selects audit events, newest first.
type AuditQuery struct {
	Scope  arm.ResourceID // and everything below
	Caller string         // caller id or name; "" for any
	Action string         // "" for any
	Since  time.Time
	Until  time.Time
	After  string
	Limit  int
}
