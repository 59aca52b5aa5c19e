package reverse

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Where guests are answered: the boot loaders of machines that the service made.
//
//	guest                                                      service
//	  POST GuestEnrollPath {machineId, token, publicKey, machine, proof}
//	     ───────────────────────────────────────────────────▶  invitation: right machine, once, in time
//	     ◀───────────────────────────────────────────────────  {brokerUris, caPem, componentsKey}
//	  stores the answer, erases the invitation
//
//	  POST GuestHelloPath {machineId}                      ──▶
//	     ◀──────────────────────────────────────────  {nonce}
//	  POST GuestOpenPath {machineId, nonce, machine, signature} ──▶  key, machine
//	     ◀──────────────────────────────────────────  {session}
//	  POST GuestPollPath {session}       ── held until there is work, or GuestHold ──▶
//	     ◀──────────────────────────────────────────  {steps, metadata}
//	  POST GuestResultPath {session, result}               ──▶
//	  POST GuestSignInPath {session, name, password}       ──▶  password, right on this machine
//	     ◀──────────────────────────────────────────  {objectId, userPrincipalName, administrator}
//
// Everything goes over TLS to the service's own CA, as agents do. A poll that is
// under way is the link: when the connection ends, the guest is gone. Steps are told
// again until their result has come, so neither side can lose one; the guest never
// runs one twice.
const (
	GuestEnrollPath = "/agent/v1/guest/enroll"
	GuestHelloPath  = "/agent/v1/guest/hello"
	GuestOpenPath   = "/agent/v1/guest/open"
	GuestPollPath   = "/agent/v1/guest/poll"
	GuestResultPath = "/agent/v1/guest/result"
	GuestSignInPath = "/agent/v1/guest/signin"
)

// Bounds of guests' requests, in bytes.
const (
	MaxFromGuest = 256 << 10
	maxStep      = 128 // of a step's id
	maxPassword  = 512 // PAM's bound
	maxSignName  = 113 // Entra's bound of a user principal name
	maxSignFrom  = 255 // a host name
)

// GuestEnroll accepts an invitation.
type GuestEnroll struct {
	MachineID string          `json:"machineId"`
	Token     string          `json:"token"`
	PublicKey []byte          `json:"publicKey"`
	Machine   json.RawMessage `json:"machine"`
	Proof     []byte          `json:"proof"` // signature over RegisterProof(Token, Machine)
}

// GuestEnrolled is what a guest keeps of the service.
type GuestEnrolled struct {
	BrokerURIs    []string `json:"brokerUris"`
	CAPem         string   `json:"caPem"`
	ComponentsKey string   `json:"componentsKey"`
}

// GuestHello asks for a challenge.
type GuestHello struct {
	MachineID string `json:"machineId"`
}

// GuestChallenge is to be signed.
type GuestChallenge struct {
	Nonce string `json:"nonce"`
}

// GuestOpen opens a session.
type GuestOpen struct {
	MachineID  string          `json:"machineId"`
	Nonce      string          `json:"nonce"`
	Machine    json.RawMessage `json:"machine"`
	BootLoader string          `json:"bootLoader"` // version
	Signature  []byte          `json:"signature"`  // over GuestProof
}

// GuestSession is an open link; Session is a secret that lasts as long as the link.
type GuestSession struct {
	Session    string   `json:"session"`
	BrokerURIs []string `json:"brokerUris"`
}

// GuestPoll waits for work.
type GuestPoll struct {
	Session string `json:"session"`
	Seen    int64  `json:"seen"` // number of the last work that was taken in
}

// GuestWork is what a poll brings. The bodies of steps and of metadata belong to the
// layers above.
type GuestWork struct {
	Number   int64             `json:"number"`
	Steps    []json.RawMessage `json:"steps,omitempty"`
	Metadata json.RawMessage   `json:"metadata,omitempty"`
}

// GuestResult tells what came of a step.
type GuestResult struct {
	Session string          `json:"session"`
	Step    string          `json:"step"`
	Result  json.RawMessage `json:"result"`
}

// GuestSignIn asks whether somebody may sign in to the machine.
type GuestSignIn struct {
	Session  string `json:"session"`
	Name     string `json:"name"`
	Password string `json:"password"`
	From     string `json:"from,omitempty"` // where they sit, as far as the machine knows
}

// String does not tell the password.
func (g GuestSignIn) String() string { return "sign-in of " + g.Name + " (password redacted)" }

// GuestSignedIn says who it is.
type GuestSignedIn struct {
	ObjectID      string `json:"objectId"`
	UPN           string `json:"userPrincipalName"`
	Administrator bool   `json:"administrator,omitempty"`
}

// GuestSignInRefused is the code of the refusal that the person may be told; another
// code says that the question could not be answered.
const GuestSignInRefused = "SignInRefused"

// GuestProof is what a guest signs to open a session.
func GuestProof(machineID, nonce string, machine []byte) []byte {
	return []byte("deskyard guest v1\n" + strings.ToLower(machineID) + "\n" + nonce + "\n" + digest(machine))
}

// Validate checks the bounds and forms of an enrolment.
func (e GuestEnroll) Validate() error {
	switch {
	case !guestID(e.MachineID):
		return errors.New("machineId is not a GUID")
	case e.Token == "" || len(e.Token) > maxToken:
		return fmt.Errorf("token has %d bytes; 1 to %d are allowed", len(e.Token), maxToken)
	case len(e.PublicKey) != ed25519.PublicKeySize:
		return errors.New("publicKey is not an Ed25519 public key")
	case len(e.Machine) > maxMachine:
		return fmt.Errorf("machine has %d bytes; at most %d are allowed", len(e.Machine), maxMachine)
	case !ed25519.Verify(e.PublicKey, RegisterProof(e.Token, e.Machine), e.Proof):
		return errors.New("proof does not hold: it must be a signature by publicKey over token and machine")
	}
	return nil
}

// Validate checks the bounds and forms of an opening.
func (o GuestOpen) Validate() error {
	switch {
	case !guestID(o.MachineID):
		return errors.New("machineId is not a GUID")
	case len(o.Nonce) > maxText || len(o.BootLoader) > 64:
		return errors.New("nonce or bootLoader is too long")
	case len(o.Machine) > maxMachine:
		return fmt.Errorf("machine has %d bytes; at most %d are allowed", len(o.Machine), maxMachine)
	}
	return nil
}

// Validate checks the form of a question.
func (h GuestHello) Validate() error {
	if !guestID(h.MachineID) {
		return errors.New("machineId is not a GUID")
	}
	return nil
}

// Validate checks the bounds of a result.
func (r GuestResult) Validate() error {
	if r.Step == "" || len(r.Step) > maxStep {
		return fmt.Errorf("step has %d bytes; 1 to %d are allowed", len(r.Step), maxStep)
	}
	return nil
}

// Validate checks the bounds of a sign-in.
func (g GuestSignIn) Validate() error {
	switch {
	case g.Name == "" || len(g.Name) > maxSignName:
		return fmt.Errorf("name has %d bytes; 1 to %d are allowed", len(g.Name), maxSignName)
	case g.Password == "" || len(g.Password) > maxPassword:
		return fmt.Errorf("password has %d bytes; 1 to %d are allowed", len(g.Password), maxPassword)
	case len(g.From) > maxSignFrom:
		return errors.New("from is too long")
	}
	return nil
}

// guestID reports whether s has a GUID's form.
func guestID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(strings.ToLower(s)) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !strings.ContainsRune("0123456789abcdef", rune(c)) {
			return false
		}
	}
	return true
}
