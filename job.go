package deskyard

import (
	"encoding/json"
	"time"

	"github.com/deskyard/deskyard/arm"
)

// Job asks for work on a resource whose row is written in the same transaction:
// a virtual machine to be made as the row says, to be started, to be removed.
type Job struct {
	Kind     string         // WorkMachine | WorkExtension | WorkCommand | WorkRemoval | WorkDeployment
	Verb     string         // one of the Job… names
	ID       arm.ResourceID // what it is about
	Caller   Principal
	Settings json.RawMessage // of the verb; nil for most
	Secrets  json.RawMessage // sealed before it is stored; nil leaves those stored before
}

// Verbs of jobs. JobPut makes the world as the row says, whether it is new or changed.
const (
	JobPut        = "put"
	JobDelete     = "delete"
	JobStart      = "start"
	JobPowerOff   = "powerOff"   // the machine stops and keeps its place
	JobDeallocate = "deallocate" // the machine stops and gives its place up; with hibernate: to disk
	JobHibernate  = "hibernate"
	JobRestart    = "restart"
	JobRun        = "run"
)

// MachineLive is what a machine does at this moment, beside what its row says: the
// statuses of Azure's instance view.
type MachineLive struct {
	Power     string    // running | stopped | deallocated | starting | stopping | deallocating | hibernated | unknown
	Problem   string    // why it is not as its row says; "" when it is
	Host      string    // hypervisor host that it is placed on
	Agent     string    // boot loader's version in the guest; "" before its first link
	Connected bool      // the guest's link stands
	Addresses []string  // as the hypervisor sees them
	At        time.Time // of the observation
}

// Usage is how much of a quota is taken.
type Usage struct {
	Name      string // "cores", "virtualMachines", "standardDSv3Family"…
	Localized string
	Current   int64
	Limit     int64
	Unit      string // "Count"
}

// ImageReference names an image as a virtual machine's storage profile does: by
// publisher, offer, SKU and version, or by the id of an image resource.
type ImageReference struct {
	Publisher string `json:"publisher,omitempty"`
	Offer     string `json:"offer,omitempty"`
	SKU       string `json:"sku,omitempty"`
	Version   string `json:"version,omitempty"` // "latest", or as in the catalogue
	Exact     string `json:"exactVersion,omitempty"`
	ID        string `json:"id,omitempty"`
}
