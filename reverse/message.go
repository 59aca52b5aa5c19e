package reverse

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// Version is the protocol's version, told in hello and auth.
const Version = 1

// Where the service answers, and what marks an agent in TLS.
const (
	RegisterPath = "/agent/v1/register"
	LinkPath     = "/agent/v1/link"
	ALPN         = "deskyard-agent/1"
	ServerName   = "agents.deskyard.internal"
	// GatewayName is what hosts check at a gateway. One that stands elsewhere has no
	// certificate for ServerName: who breaks into it commands no host.
	GatewayName = "gateways.deskyard.internal"
)

// Bounds, in bytes. A report of 500 sessions is some 150 KiB.
const (
	MaxFromAgent   = 256 << 10
	MaxFromService = 1 << 20
	MaxRegister    = 64 << 10
	maxMachine     = 8 << 10
	maxToken       = 8 << 10
	maxText        = 4 << 10
)

// Types of messages.
const (
	TypeHello    = "hello"
	TypeAuth     = "auth"
	TypeWelcome  = "welcome"
	TypeRefused  = "refused"
	TypeConfirm  = "confirm"
	TypeReport   = "report"
	TypeCommand  = "command"
	TypeResult   = "result"
	TypeDesired  = "desired"
	TypeMetrics  = "metrics"
	TypeStopping = "stopping"
	TypeBye      = "bye"
)

// Message is the envelope of everything on the link but heartbeats. ID pairs a
// result with its command. The bodies of report, command, desired and metrics
// belong to the layers above.
type Message struct {
	Type string          `json:"type"`
	ID   string          `json:"id,omitempty"`
	Body json.RawMessage `json:"body,omitempty"`
}

// Hello opens the link, from the service.
type Hello struct {
	Version int    `json:"version"`
	Nonce   string `json:"nonce"`
}

// Auth is the agent's answer: who it is and the proof.
type Auth struct {
	Version   int             `json:"version"`
	HostID    string          `json:"hostId"`
	Epoch     string          `json:"epoch"` // "" on the first link
	Machine   json.RawMessage `json:"machine"`
	Signature []byte          `json:"signature"` // over LinkProof
}

// Welcome accepts the link.
type Welcome struct {
	NextEpoch         string   `json:"nextEpoch"`
	HeartbeatSeconds  int      `json:"heartbeatSeconds"`
	BrokerURIs        []string `json:"brokerUris,omitempty"`        // where to dial from now on
	GatewayURIs       []string `json:"gatewayUris,omitempty"`       // of gateways elsewhere that clients are sent to
	MetadataExpected  bool     `json:"metadataExpected,omitempty"`  // the host runs where an instance metadata service is
	DirectoryRequired bool     `json:"directoryRequired,omitempty"` // the pool's users live in a directory, so the host must be joined
}

// Refused says why there is no link, and when to come again.
type Refused struct {
	Code              string `json:"code"`
	Message           string `json:"message"`
	RetryAfterSeconds int    `json:"retryAfterSeconds"`
}

// Codes of Refused.
const (
	RefusedUnknown   = "HostUnknown" // removed, or never registered: register again
	RefusedRevoked   = "HostRevoked"
	RefusedSignature = "BadSignature"
	RefusedClone     = "CloneDetected"
	RefusedProtocol  = "ProtocolError"
	RefusedBusy      = "ServiceUnavailable"
)

// Confirm says that the epoch is on the agent's disk.
type Confirm struct {
	Epoch string `json:"epoch"`
}

// Result answers a command; Error is "" when it was done.
type Result struct {
	Error   string   `json:"error,omitempty"`
	Dialled *Dialled `json:"dialled,omitempty"` // of the command "dial"
}

// Bye announces that the service closes the link.
type Bye struct {
	Reason            string `json:"reason"`
	RetryAfterSeconds int    `json:"retryAfterSeconds"`
}

// Register is the body of a registration.
type Register struct {
	Token     string          `json:"token"`
	Machine   json.RawMessage `json:"machine"`
	PublicKey []byte          `json:"publicKey"`
	Proof     []byte          `json:"proof"` // signature over RegisterProof
}

// Registered is the answer to a registration.
type Registered struct {
	HostID        string   `json:"hostId"`
	ResourceID    string   `json:"resourceId"`
	TenantID      string   `json:"tenantId"`
	BrokerURIs    []string `json:"brokerUris"`
	CAPem         string   `json:"caPem"`
	ComponentsKey string   `json:"componentsKey"` // base64 of the Ed25519 key that signs component manifests
}

// typeForm and idForm close the alphabets of what is logged and looked up.
var (
	typeForm = regexp.MustCompile(`^[a-z]{1,32}$`)
	idForm   = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)
)

// Decode reads one message of at most limit bytes.
func Decode(data []byte, limit int) (Message, error) {
	var m Message
	if len(data) > limit {
		return m, fmt.Errorf("decode message: %d bytes, at most %d are allowed", len(data), limit)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return Message{}, fmt.Errorf("decode message: %w", err)
	}
	if !typeForm.MatchString(m.Type) {
		return Message{}, fmt.Errorf("decode message: type %.40q is not one to 32 lower-case letters", m.Type)
	}
	if !idForm.MatchString(m.ID) {
		return Message{}, fmt.Errorf("decode message %s: id %.70q is not at most 64 letters, digits, '.', '_' or '-'", m.Type, m.ID)
	}
	return m, nil
}

// Encode makes one message.
func Encode(kind, id string, body any) ([]byte, error) {
	m := Message{Type: kind, ID: id}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", kind, err)
		}
		m.Body = b
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", kind, err)
	}
	return b, nil
}

// Into decodes the message's body into v and validates it where v can.
func (m Message) Into(v any) error {
	if len(m.Body) == 0 {
		return fmt.Errorf("decode %s: no body", m.Type)
	}
	if err := json.Unmarshal(m.Body, v); err != nil {
		return fmt.Errorf("decode %s: %w", m.Type, err)
	}
	if c, ok := v.(interface{ Validate() error }); ok {
		return c.Validate()
	}
	return nil
}
