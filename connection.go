package deskyard

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"

	"github.com/deskyard/deskyard/arm"
)

// Doors that a connection comes through.
const (
	DoorWeb    = "web" // the web client: RDCleanPath over WebSocket
	DoorRDG    = "rdg" // RD Gateway (MS-TSGU)
	DoorAVD    = "avd" // AVD's own connection request, as FreeRDP 3 speaks it
	DoorDryRun = "dryrun"
)

// States of a connection: AVD's checkpoints (WVDConnections), and Failed.
const (
	ConnectionStarted   = "Started"   // a user asked, the broker decides
	ConnectionConnected = "Connected" // bytes flow between client and host
	ConnectionCompleted = "Completed" // it ended
	ConnectionFailed    = "Failed"    // it never came to be; Failure says why
)

// Connection is one attempt of a user to open a desktop or an application, with
// everything that explains what came of it.
type Connection struct {
	ID       string // GUID; the correlation id that joins logs, records and clients' errors
	UserID   string // object id
	User     string // user principal name
	Resource arm.ResourceID
	Pool     arm.ResourceID
	Host     arm.ResourceID `json:",omitzero"` // zero: none was found
	HostID   string         `json:",omitzero"` // object id of the host
	Door     string
	Client   ClientInfo
	Gateway  string `json:",omitzero"` // name of the gateway that relays it

	State   string
	Failure *ConnectionFailure `json:",omitzero"` // with Failed, and with Completed where the end was not the user's wish
	Started time.Time
	// Stages are the times that led to pixels, in order; see ConnectionStage.
	Stages   []ConnectionStage `json:",omitzero"`
	Decision *Decision         `json:",omitzero"` // how the broker came to its answer
	Ended    time.Time         `json:",omitzero"`
	// EndReason is whose doing the end was, as the gateway saw it; see ConnectionEnd.
	EndReason string  `json:",omitzero"`
	Traffic   Traffic `json:",omitzero"`
	// Told is what the host said of it that was not the user's wish; with the end it is
	// the Failure, where it explains that end. Nil again once the user was let in.
	Told *ConnectionFailure `json:",omitempty"`
}

// ConnectionRecord is a connection with the document that is stored of it. Encoding takes
// as long as writing, and one writer serves everybody: whoever knows what is to be written
// before the transaction encodes it before.
type ConnectionRecord struct {
	Connection
	Doc json.RawMessage
}

// Record encodes the connection as it is now.
func (c Connection) Record() (ConnectionRecord, error) {
	doc, err := json.Marshal(c)
	if err != nil {
		return ConnectionRecord{}, fmt.Errorf("encode connection %s: %w", c.ID, err)
	}
	return ConnectionRecord{Connection: c, Doc: doc}, nil
}

// ClientInfo is what a client says of itself; nothing depends on it.
type ClientInfo struct {
	Name    string `json:"name,omitempty"`    // of the device
	OS      string `json:"os,omitempty"`      //
	Type    string `json:"type,omitempty"`    // user agent, or the native client's name
	Version string `json:"version,omitempty"` //
	Address string `json:"address,omitempty"` // as the gateway sees it
}

// ConnectionStage is one step of a connection and the time it took.
type ConnectionStage struct {
	Name string        `json:"name"` // decide | start | reverse-connect | negotiate | ready | logon | ShellReady | RdpShellAppExecuted
	Took time.Duration `json:"took"` // nanoseconds
}

// Stages by which others know how far a connection came.
const (
	StageReady = "ready"               // ends with the first bytes of the session
	StageLogon = "logon"               // of the host's own clock, from its leg on: the user has a session
	StageShell = "ShellReady"          // likewise: the desktop's first program runs; AVD's checkpoint
	StageApp   = "RdpShellAppExecuted" // likewise, of an application; AVD's checkpoint
)

// ConnectionFailure is why there is no session, for the user and the administrator.
type ConnectionFailure struct {
	Code    int           `json:"code"`
	Symbol  string        `json:"symbol"`  // AVD's where one exists, such as ConnectionFailedNoHealthyRdshAvailable
	Message string        `json:"message"` // to the user: what happened, and what to do
	Ours    bool          `json:"ours"`    // AVD's ServiceError: true where no administrator can mend it
	Retry   time.Duration `json:"retry"`   // when to try again; 0: it will not help
}

func (f *ConnectionFailure) Error() string { return f.Symbol + ": " + f.Message }

// Traffic is what a gateway counted of a connection.
type Traffic struct {
	FromClient uint64        `json:"fromClientBytes"`
	FromHost   uint64        `json:"fromHostBytes"`
	RTT        time.Duration `json:"rtt"` // of the client's leg, last measured; 0: unknown
}

// Decision is how the broker chose: what it looked at, what it took, and why each of
// the others was passed over.
type Decision struct {
	Rule       string      `json:"rule"` // existing session | assigned | assign now | BreadthFirst | DepthFirst
	Host       string      `json:"host,omitempty"`
	Reason     string      `json:"reason"`
	Considered int         `json:"considered"`
	Candidates []Candidate `json:"candidates,omitempty"` // at most MaxCandidates, the chosen and the nearest first
	Snapshot   time.Time   `json:"snapshot"`
}

// MaxCandidates bounds the candidates of a stored decision; Considered counts them all.
const MaxCandidates = 50

// Candidate is a host as the broker saw it.
type Candidate struct {
	Host     string `json:"host"`
	Sessions int    `json:"sessions"`
	Passed   string `json:"passed,omitempty"` // why it was passed over; "" for the chosen one
}

// AdmitRequest is what a gateway asks for a client that shows a ticket.
type AdmitRequest struct {
	Ticket string     `json:"ticket"`
	Door   string     `json:"door"`
	Client ClientInfo `json:"client"`
	// Leg is the id of the reverse connection that the gateway awaits: 128 random
	// bits in hexadecimal, used once. Gateway is its name and URLs the addresses,
	// most likely first, at which session hosts reach it.
	Leg     string   `json:"leg"`
	Gateway string   `json:"gateway"`
	URLs    []string `json:"urls"`
}

// Admission lets a client through to one host.
type Admission struct {
	Connection string            `json:"connection"`
	HostID     string            `json:"hostId"`
	HostName   string            `json:"hostName"` // for messages, and the name in clients' title bars
	HostKey    ed25519.PublicKey `json:"hostKey"`  // must have signed the leg, see reverse.LegProof
	User       string            `json:"user"`
	// Certificate is the SHA-256 of the DER of the RDP listener's certificate, as the
	// host's stack reported it; a gateway that ends TLS at the host pins it.
	Certificate [32]byte `json:"-"`
	// SignOn is a credential that the host takes once in the next minute; nil where the
	// host must ask. It is a secret: never logged.
	SignOn   *SignOn       `json:"-"`
	Redirect Redirection   `json:"redirect"`
	Idle     time.Duration `json:"idle"` // end the relay after so long without a byte; 0: never
	// Application is what a RemoteApp connection starts; "" for a desktop.
	Application string `json:"application,omitempty"`
}

// SignOn is a one-time credential.
type SignOn struct {
	Account  string // the host's own name of the user
	Password string
}

// String keeps the password out of logs.
func (s SignOn) String() string { return s.Account + " (password withheld)" }

// Redirection is which of the client's devices a host may use: the pool's RDP
// properties, enforced where the door allows it.
type Redirection struct {
	Clipboard bool `json:"clipboard"`
	Drives    bool `json:"drives"`
	Printers  bool `json:"printers"`
	Ports     bool `json:"ports"`
	PnP       bool `json:"pnp"`
}

// ConnectionEnd is what a gateway says when a relay is over.
type ConnectionEnd struct {
	Connection string            `json:"connection"`
	Reason     string            `json:"reason"` // client closed | host closed | administrator | idle | gateway stopping | error: …
	Traffic    Traffic           `json:"traffic"`
	Stages     []ConnectionStage `json:"stages"`
	At         time.Time         `json:"at"`
}

// RelayReport is all that a gateway relays, or has an end of to tell.
type RelayReport struct {
	Gateway     string   `json:"-"` // its name, which is not its to say
	Connections []string `json:"connections"`
	// Fresh says that the gateway's process has admitted nobody yet. Otherwise a young
	// connection that the list lacks may have come since it was made, and is spared.
	Fresh bool `json:"fresh,omitempty"`
}

// Brokerage is the service as a gateway sees it. In the service's own process it is
// called directly; a gateway elsewhere calls it over HTTPS. A refusal is a
// *ConnectionFailure.
type Brokerage interface {
	// Admit redeems a ticket: it finds the host, has it dial back and waits for that.
	Admit(ctx context.Context, r AdmitRequest) (Admission, error)
	// Connected tells that bytes flow.
	Connected(ctx context.Context, connection string, stages []ConnectionStage) error
	// Ended tells that they no longer do. A gateway keeps telling until it is heard.
	Ended(ctx context.Context, e ConnectionEnd) error
	// Relaying tells which connections a gateway has now: whatever else it was known to
	// relay ended unheard, with an earlier process of its or while the service was away.
	Relaying(ctx context.Context, r RelayReport) error
}
