package deskyard

import (
	"time"

	"github.com/deskyard/deskyard/arm"
)

// SessionHost is a machine that registered with a host pool. It exists only by
// registering, as in AVD: the management API has no PUT for it.
type SessionHost struct {
	ID       arm.ResourceID // …/hostPools/{pool}/sessionHosts/{name}
	ObjectID string         // GUID; the agent's identity on the control link
	Pool     string         // object id of the pool

	AllowNewSession bool // false: drain mode
	AssignedUser    string
	FriendlyName    string

	Machine          Machine
	PublicKey        []byte // Ed25519 key that the machine made; proof of it is its only credential
	Epoch            string // last link epoch that the machine confirmed, see package reverse
	NextEpoch        string // epoch handed out and not confirmed yet
	EnrolledBy       string // id of the registration key
	RegisteredAt     time.Time
	RevokedAt        time.Time // zero: may connect
	RevokedReason    string
	Refused          string // why the last connection attempt was refused ("" if none since the last accepted one)
	RefusedAt        time.Time
	ResourceID       string // ARM id of the VM, "" when unknown
	VirtualMachineID string

	Report     HostReport // last report; written only when it changes
	LastSeen   time.Time  // coarse: at link up, link down and with a changed report
	EverOnline bool       // has been Available or NeedsAssistance since registration
	StatusAt   time.Time  // when the stored facts last changed the status
	Update     UpdateRecord
	Version    int64
}

// Machine says which machine it is. SMBIOSID and MachineID together tell a machine
// from a clone of its disk: a clone keeps the machine id and gets its own SMBIOS id.
type Machine struct {
	Hostname  string `json:"hostname"`
	FQDN      string `json:"fqdn,omitempty"`
	MachineID string `json:"machineId"`
	SMBIOSID  string `json:"smbiosId,omitempty"`
	BootID    string `json:"bootId,omitempty"`
	OS        string `json:"os"`   // linux | windows
	Arch      string `json:"arch"` // amd64 | arm64
	OSVersion string `json:"osVersion"`
	Kind      string `json:"kind,omitempty"`     // Azure | AzureStackHCI: the substrate
	Identity  string `json:"identity,omitempty"` // identity provider it is joined to: "", "ad:DOMAIN", "entra:TENANT"
}

// HostReport is what the agent last said about its host.
type HostReport struct {
	At            time.Time     `json:"at"`
	AgentVersion  string        `json:"agentVersion"`
	SxSVersion    string        `json:"sxsVersion"`
	OSVersion     string        `json:"osVersion"`
	Stopping      bool          `json:"stopping,omitempty"` // the machine said goodbye: shut down or rebooting
	Checks        []HealthCheck `json:"checks"`
	Sessions      []UserSession `json:"sessions"`
	Components    []Component   `json:"components"`
	SessionsKnown bool          `json:"sessionsKnown"` // false: the stack could not be asked
	// ListenerCertificate is the SHA-256, in hexadecimal, of the DER of the certificate
	// that the RDP listener shows; "" where the stack does not know it. Gateways pin it.
	ListenerCertificate string `json:"listenerCertificate,omitempty"`
	TimeZoneOffset      int    `json:"tzOffset"` // seconds east of UTC, for local maintenance windows
}

// Component is one installed component of a host.
type Component struct {
	Name     string   `json:"name"` // agent | bootloader | sxs-stack | monitoring-agent
	Version  string   `json:"version"`
	Kept     []string `json:"kept,omitempty"`   // versions on disk, newest first
	State    string   `json:"state"`            // Running | Stopped | Failed | Installing
	Detail   string   `json:"detail,omitempty"` // why, when not Running
	Failed   string   `json:"failed,omitempty"` // version that did not come up and was rolled back
	Attempts int      `json:"attempts,omitempty"`
}

// HealthCheck is the result of one check under AVD's name for it.
type HealthCheck struct {
	Name    string    `json:"name"`
	Result  string    `json:"result"` // Unknown | HealthCheckSucceeded | HealthCheckFailed | SessionHostShutdown
	Message string    `json:"message,omitempty"`
	Code    int       `json:"code"`
	At      time.Time `json:"at"`
}

// ApplicationVariable is in the environment of a Linux session that was started for one
// program alone: its host reports it as a RemoteApp's by that.
const ApplicationVariable = "DESKYARD_APPLICATION"

// UserSession is a session as its host's stack sees it.
type UserSession struct {
	ID              int       `json:"id"`       // small integer, unique on the host while the session lives
	Native          string    `json:"native"`   // the OS's own handle (logind id, WTS id)
	ObjectID        string    `json:"objectId"` // GUID made by the agent when it first saw the session
	User            string    `json:"user"`     // user principal name, or the login name where there is none
	Account         string    `json:"account"`  // DOMAIN\user or user
	State           string    `json:"state"`    // Active | Disconnected | Pending | LogOff | Unknown
	ApplicationType string    `json:"applicationType"`
	CreateTime      time.Time `json:"createTime"`
	ClientAddress   string    `json:"clientAddress,omitempty"`
}

// UpdateRecord is the state of the host's component update, as AVD reports it.
type UpdateRecord struct {
	State    string    `json:"state"` // Initial | Pending | Started | Succeeded | Failed
	Error    string    `json:"error,omitempty"`
	At       time.Time `json:"at"`
	Target   string    `json:"target,omitempty"` // agent version aimed at
	Attempts int       `json:"attempts,omitempty"`
}

// Lease is what the service knows of a host's control link at this moment. It
// lives in memory only; the zero value is "no link".
type Lease struct {
	Connected bool
	Heartbeat time.Time // last frame received
	RTT       time.Duration
}

// LeaseFor is how long a silent link counts as alive: two heartbeats of five
// seconds missed and two seconds' grace, so that a machine that stopped without a
// word is Unavailable within 15 seconds.
const LeaseFor = 12 * time.Second

// HeartbeatEvery is the agents' heartbeat interval.
const HeartbeatEvery = 5 * time.Second

// Alive reports whether the link holds at now.
func (l Lease) Alive(now time.Time) bool {
	return l.Connected && now.Sub(l.Heartbeat) < LeaseFor
}

// Session-host status values that the service gives; the API documents more,
// which are legacy.
const (
	StatusAvailable       = "Available"
	StatusUnavailable     = "Unavailable"
	StatusShutdown        = "Shutdown"
	StatusUpgrading       = "Upgrading"
	StatusUpgradeFailed   = "UpgradeFailed"
	StatusNeedsAssistance = "NeedsAssistance"
)

// Health check names and results, as the API has them.
const (
	CheckDomainJoined   = "DomainJoinedCheck"
	CheckDomainTrust    = "DomainTrustCheck"
	CheckDomainReach    = "DomainReachable"
	CheckSxSListener    = "SxSStackListenerCheck"
	CheckURLs           = "UrlsAccessibleCheck"
	CheckMonitoring     = "MonitoringAgentCheck"
	CheckMetadata       = "MetaDataServiceCheck"
	CheckEncryption     = "SupportedEncryptionCheck"
	CheckFSLogix        = "FSLogixHealthCheck"
	CheckAppAttach      = "AppAttachHealthCheck"
	CheckWebRTC         = "WebRTCRedirectorCheck"
	CheckUnknown        = "Unknown"
	CheckSucceeded      = "HealthCheckSucceeded"
	CheckFailed         = "HealthCheckFailed"
	CheckShutdownResult = "SessionHostShutdown"
)

// fatalChecks are the checks whose failure makes a host Unavailable; every other
// failed check makes it NeedsAssistance (session-host-status-health-checks article).
var fatalChecks = map[string]bool{
	CheckDomainJoined: true, CheckDomainTrust: true, CheckDomainReach: true,
	CheckSxSListener: true, CheckFSLogix: true, CheckEncryption: true,
}

// Fatal reports whether a failure of the named check takes the host out of service.
func Fatal(check string) bool { return fatalChecks[check] }

// Status derives the host's status from its lease, its last report and its update
// record. The order is the rule: a fatal failure must win over UpgradeFailed, or a
// host with a dead listener would still be given sessions. reason says in one
// sentence why it is not Available, with the next step; it is "" when it is.
func (h SessionHost) Status(l Lease, now time.Time) (status, reason string) {
	switch {
	case !h.RevokedAt.IsZero():
		return StatusUnavailable, "Revoked: " + h.RevokedReason + ". Register the machine again with a valid key to bring it back."
	case h.Report.Stopping && !l.Alive(now):
		return StatusShutdown, "The machine said that it was shutting down. Start it to bring the host back."
	case !l.Alive(now) && h.Refused != "":
		return StatusUnavailable, h.Refused
	case !l.Alive(now):
		return StatusUnavailable, "The agent has no control link. Check that the machine runs, that its boot loader service is started and that it reaches the service."
	case h.Update.State == "Started":
		return StatusUpgrading, "The agent is updating to " + h.Update.Target + "."
	case len(h.Report.Checks) == 0:
		return StatusUnavailable, "The agent is connected and has not reported its health checks yet."
	}
	assist := ""
	for _, c := range h.Report.Checks {
		if c.Result != CheckFailed {
			continue
		}
		if Fatal(c.Name) {
			return StatusUnavailable, c.Name + ": " + c.Message
		}
		if assist == "" {
			assist = c.Name + ": " + c.Message
		}
	}
	switch {
	case h.Update.State == "Failed":
		return StatusUpgradeFailed, h.Update.Error
	case assist != "":
		return StatusNeedsAssistance, assist
	}
	return StatusAvailable, ""
}

// Usable reports whether a status lets the broker give the host a new session.
func Usable(status string) bool {
	switch status {
	case StatusAvailable, StatusNeedsAssistance, StatusUpgrading, StatusUpgradeFailed:
		return true
	}
	return false
}
