package reverse

import (
	"errors"
	"fmt"
	"regexp"
)

// LegPath is where a gateway awaits reverse connections: GET LegPath+id with
// "Upgrade: "+LegProtocol and the header LegHeader.
//
//	service ── command dial {leg, urls, …} ─▶ agent      over the control link
//	agent: connects to its RDP listener on loopback
//	agent ── GET LegPath{leg}, Upgrade, LegHeader: host id, signature ─▶ gateway
//	      ◀─ 101 ──                     at once, where the leg is awaited
//	agent ── result {account} ─▶ service ── admission {host key} ─▶ gateway
//	gateway checks the signature, then bytes of RDP flow both ways, unframed
//
// The agent pins the gateway as it pins the service: same CA, same ALPN, and GatewayName
// where that has ServerName. A leg's id is 128 random bits, awaited once and for LegWait: a signature
// over it cannot be used again.
const (
	LegPath     = "/agent/v1/leg/"
	LegProtocol = "deskyard-leg/1"
	LegHeader   = "Deskyard-Leg-Proof" // base64(signature) of LegProof by the host's key
	LegHost     = "Deskyard-Leg-Host"  // the host's object id
)

// VerbDial is the command that has a host dial back; its body is a DialBack.
const VerbDial = "dial"

// DialBack is the body of the command "dial", beside its verb.
type DialBack struct {
	Leg  string   `json:"leg"`
	URLs []string `json:"urls"` // base URLs of the gateway, most likely first
	// Connection is the service's id of what the leg is for, and User whose it is, a user
	// principal name: what the host says of it (Seen) names them. Older services say
	// neither.
	Connection string `json:"connection,omitempty"`
	User       string `json:"user,omitempty"`
	// Grant, where given, is a one-time credential that the host's sign-on shall take.
	Grant *Grant `json:"grant,omitempty"`
}

// Grant lets a user in once: whoever knows the secret whose SHA-256 this is.
type Grant struct {
	User    string `json:"user"`   // user principal name
	Object  string `json:"object"` // the user's object id: accounts of a host are told by it
	Secret  []byte `json:"secret"` // SHA-256 of the password
	Seconds int    `json:"seconds"`
	Admin   bool   `json:"admin,omitempty"` // may become root, as Virtual Machine Administrator Login allows
}

// Dialled is what a host answers to "dial": the body of its Result.
type Dialled struct {
	// Account is the host's own name of the grant's user; "" where the host takes no
	// one-time credential, and SignOn then says why.
	Account string `json:"account,omitempty"`
	SignOn  string `json:"signOn,omitempty"`
}

var legForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// LegID reports whether s has the form of a leg's id.
func LegID(s string) bool { return legForm.MatchString(s) }

// LegProof is what a host signs to open a leg.
func LegProof(hostID, leg string) []byte {
	return []byte("deskyard leg v1\n" + hostID + "\n" + leg)
}

// Validate reports what is wrong with a dial-back.
func (d DialBack) Validate() error {
	if !LegID(d.Leg) {
		return errors.New("dial: leg is not 32 hexadecimal digits")
	}
	if len(d.URLs) == 0 || len(d.URLs) > 8 {
		return fmt.Errorf("dial: %d gateway addresses, between 1 and 8 are allowed", len(d.URLs))
	}
	for _, u := range d.URLs {
		if err := bounded("dial", "urls", u, 1, 512); err != nil {
			return err
		}
	}
	if d.Connection != "" && !guestID(d.Connection) {
		return errors.New("dial: the connection is not a GUID")
	}
	if err := bounded("dial", "user", d.User, 0, 256); err != nil {
		return err
	}
	if d.Grant == nil {
		return nil
	}
	return d.Grant.validate()
}

func (g Grant) validate() error {
	if len(g.Secret) != 32 {
		return errors.New("dial: the grant's secret is not 32 bytes")
	}
	if g.Seconds < 1 || g.Seconds > 300 {
		return fmt.Errorf("dial: the grant lives %d seconds, between 1 and 300 are allowed", g.Seconds)
	}
	if !guestID(g.Object) {
		return errors.New("dial: the grant's object is not a GUID")
	}
	return bounded("dial", "grant.user", g.User, 1, 256)
}
