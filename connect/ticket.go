package connect

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

const (
	// ticketLife is how long a client has to show a connection's ticket to a gateway.
	ticketLife = 30 * time.Second
	// DefaultFileLife is how long the ticket of a connection file works.
	DefaultFileLife = 10 * time.Minute
	// maxTicket bounds what is verified: ids and a resource id stay far below it.
	maxTicket = 4 << 10
)

// What a ticket is for.
const (
	forConnection = "connection" // one connection, once
	forFile       = "file"       // a user and a resource, again and again while it lives
)

// claims are what a ticket says.
type claims struct {
	For        string `json:"for"`
	User       string `json:"user"`                 // object id
	Connection string `json:"connection,omitempty"` // of a connection
	Host       string `json:"host,omitempty"`       // of a connection: object id
	Resource   string `json:"resource,omitempty"`   // of a file
	Expires    int64  `json:"exp"`                  // seconds since 1970
}

// ticketContext is what the key of tickets is derived for.
const ticketContext = "deskyard connection ticket v2"

// ticketKey derives what tickets are authenticated with. The service alone reads them,
// so a MAC says as much as a signature, at a fiftieth of the processor's time.
func ticketKey(key ed25519.PrivateKey) ([]byte, error) {
	return hkdf.Key(sha256.New, key.Seed(), nil, ticketContext, sha256.Size)
}

func (s *Service) mac(payload []byte) []byte {
	h := hmac.New(sha256.New, s.ticketKey)
	h.Write(payload)
	return h.Sum(nil)
}

func (s *Service) sign(c claims) string {
	payload, err := json.Marshal(c)
	if err != nil {
		panic("encode a ticket: " + err.Error()) // a struct of texts and a number
	}
	return s.sealed(payload)
}

// sealed is the ticket that says payload.
func (s *Service) sealed(payload []byte) string {
	return base64.RawURLEncoding.EncodeToString(payload) + "." + base64.RawURLEncoding.EncodeToString(s.mac(payload))
}

var errTicket = errors.New("the ticket is not one of this service's, or has expired")

// verify reads a ticket that the service made and whose time is not over.
func (s *Service) verify(ticket string) (claims, error) {
	if len(ticket) > maxTicket || strings.ContainsAny(ticket, "\r\n") { // which base64's decoder passes over
		return claims{}, errTicket
	}
	text, proof, _ := strings.Cut(ticket, ".")
	payload, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return claims{}, errTicket
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(proof)
	if err != nil || !hmac.Equal(mac, s.mac(payload)) {
		return claims{}, errTicket
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil || s.now().Unix() >= c.Expires {
		return claims{}, errTicket
	}
	return c, nil
}

// ticket is what lets a connection's client through a gateway once.
func (s *Service) ticket(c deskyard.Connection) (string, time.Time) {
	expires := s.now().Add(ticketLife)
	return s.sign(claims{For: forConnection, User: c.UserID, Connection: c.ID, Host: c.HostID, Expires: expires.Unix()}), expires
}

// FileTicket is what a connection file carries: it lets the user through a gateway to
// the resource until it expires. Each use is a connection of its own, decided then.
func (s *Service) FileTicket(p deskyard.Principal, resource arm.ResourceID) (ticket string, expires time.Time) {
	expires = s.now().Add(s.o.FileLife)
	return s.sign(claims{For: forFile, User: p.ObjectID, Resource: resource.String(), Expires: expires.Unix()}), expires
}
