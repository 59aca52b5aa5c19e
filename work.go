package deskyard

import (
	"encoding/json"
	"time"

	"github.com/deskyard/deskyard/arm"
)

// Work is something that takes longer than a request: a deployment under way, a
// machine to be made, an extension to be run in it, a host to be removed. It is a
// row that a reconciler (package reconcile) makes true, so that a service that was
// killed goes on where it was. A kind of work is done at most once at a time for
// one resource.
type Work struct {
	Kind string         // one of the Work… names
	ID   arm.ResourceID // what it is about; with Kind, the row's key

	Due      time.Time       // when to look at it next; zero: not until it is woken
	Attempts int             // failures in a row; 0 after each success
	Problem  string          // the last failure, for people; "" after a success
	State    json.RawMessage `json:",omitempty"` // how far its reconciler has come; its own business
	Sealed   []byte          `json:",omitempty"` // secrets it needs, sealed by package seal; nil for none

	Created time.Time
	Changed time.Time
	Version int64 // counts writes, from 1
}

// Kinds of work. WorkStep rows are the records of a deployment's single resources,
// with ids below the deployment's; nobody reconciles them on their own.
const (
	WorkDeployment = "deployment"
	WorkStep       = "step"
	WorkMachine    = "machine"
	WorkExtension  = "extension"
	WorkCommand    = "command"
	WorkRemoval    = "removal"
)

// WorkQuery selects work, in the order of its keys.
type WorkQuery struct {
	Kind  string         // "" for every kind
	Scope arm.ResourceID // this resource's and everything below; zero: everywhere
	DueBy time.Time      // zero: all of it; otherwise what is due at that instant, soonest first and unpaged
	After string         // from a Page's Next
	Limit int            // rows at most; 0: no bound
}
