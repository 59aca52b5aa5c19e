package deskyard

import (
	"context"
	"encoding/json"
	"time"

	"github.com/deskyard/deskyard/arm"
)

// Guest is the service's acquaintance with the boot loader inside a machine that it
// made: first an invitation that one machine may use once, then the key that the
// machine made. It exists before the machine is a session host, and goes on
// carrying its extensions afterwards.
type Guest struct {
	MachineID string         // GUID: the machine's SMBIOS UUID, properties.vmId, lower case
	VM        arm.ResourceID // the virtual machine (Compute) or machine (HybridCompute)

	TokenHash    []byte    // SHA-256 of the invitation's token; nil once used
	TokenExpires time.Time // the deadline for using it
	PublicKey    []byte    // Ed25519, made in the guest; nil until it has enrolled
	EnrolledAt   time.Time
	Facts        Machine   // what the guest says it is
	BootLoader   string    // version that the guest runs
	LastSeen     time.Time // coarse: at link up and link down
	Version      int64
}

// Invitation is what a new machine is given at its first boot, and all it is given.
// It is a secret until it has been used.
type Invitation struct {
	MachineID string    `json:"machineId"`
	Token     string    `json:"token"` // single machine, single use
	URLs      []string  `json:"urls"`  // how the guest reaches the service, in the order to try
	CAPem     string    `json:"ca"`    // the service's own CA
	Expires   time.Time `json:"expires"`
}

// Step is a piece of work inside a guest. Asking for the same ID again never runs it
// twice: a guest that has run it answers what came of it then, also after a reboot.
type Step struct {
	ID       string          `json:"id"`   // GUID, or any text of at most 128 characters
	Kind     string          `json:"kind"` // one of the Step… names
	Settings json.RawMessage `json:"settings,omitempty"`
	Secrets  json.RawMessage `json:"secrets,omitempty"` // never logged, never written to the guest's disk in clear
	Timeout  time.Duration   `json:"timeout,omitempty"` // 0: the guest's default of 90 minutes, Azure's bound for an extension
}

// Kinds of steps, with the extensions that become them.
const (
	StepAgent     = "agent"         // Microsoft.Powershell/DSC with AddSessionHost, CustomScriptExtension of the HCI template
	StepDomain    = "domainjoin"    // Microsoft.Compute/JsonADDomainExtension
	StepDirectory = "directoryjoin" // Microsoft.Azure.ActiveDirectory/AADLoginForWindows, AADSSHLoginForLinux
	StepScript    = "script"        // Microsoft.Compute/CustomScriptExtension, Microsoft.Azure.Extensions/CustomScript
	StepCommand   = "command"       // virtualMachines/runCommand
	StepMonitor   = "monitor"       // Microsoft.Azure.Monitor/AzureMonitor…Agent
	StepAdmin     = "admin"         // osProfile: host name, local administrator, password or SSH keys
	StepRelease   = "release"       // before removal: leave the directory, forget keys
)

// StepResult is what came of a step.
type StepResult struct {
	ID       string    `json:"id"`
	State    string    `json:"state"` // Running | Succeeded | Failed
	ExitCode int       `json:"exitCode"`
	Output   string    `json:"output,omitempty"`  // the last 4 KiB of what it wrote, secrets struck out
	Code     string    `json:"code,omitempty"`    // error code, when Failed
	Message  string    `json:"message,omitempty"` // one sentence: what failed and what to do
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
}

// States of a step.
const (
	StepRunning   = "Running"
	StepSucceeded = "Succeeded"
	StepFailed    = "Failed"
)

// Guests is the live side of guests: who is connected, and work for them. The
// agents' door implements it, package provision calls it.
type Guests interface {
	// Invite stores a guest for a machine that is about to be made, in place of a
	// former one, and returns what the machine is to be given.
	Invite(ctx context.Context, tx Tx, vm arm.ResourceID, machineID string, life time.Duration) (Invitation, error)
	// Connected reports whether the guest's link stands now.
	Connected(machineID string) bool
	// Do hands a step to the guest and waits for its result until ctx ends. A guest
	// without a link, or one whose link ends meanwhile, is ErrGuestUnreachable: ask
	// again with the same step once it is back. A step that fails is a result, not an error.
	Do(ctx context.Context, machineID string, s Step) (StepResult, error)
	// Describe gives the guest the instance metadata document that it is to answer at
	// 169.254.169.254; it is sent now or at the next link.
	Describe(machineID string, metadata json.RawMessage)
	// Forget closes the guest's link and refuses its key from now on.
	Forget(machineID, reason string)
}

// ErrGuestUnreachable is answered when a step is for a guest without a link.
var ErrGuestUnreachable = arm.Errorf(arm.Conflicting, "VMAgentStatusCommunicationError",
	"The boot loader inside the machine has no link to the service. Look at the machine's boot diagnostics.")
