package connect

import (
	"crypto/ed25519"
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

// ticketContext goes before what is signed: the key's signatures mean tickets only.
const ticketContext = "deskyard connection ticket v1\n"

func (s *Service) sign(c claims) string {
	payload, err := json.Marshal(c)
	if err != nil {
		panic("encode a ticket: " + err.Error()) // a struct of texts and a number
	}
	signature := ed25519.Sign(s.o.Key, append([]byte(ticketContext), payload...))
	return base64.RawURLEncoding.EncodeToString(payload) + "." + base64.RawURLEncoding.EncodeToString(signature)
}

var errTicket = errors.New("the ticket is not one of this service's, or has expired")

// verify reads a ticket that the service signed and whose time is not over. The
// comparison is the signature's: nothing in it depends on a secret.
func (s *Service) verify(ticket string) (claims, error) {
	if len(ticket) > maxTicket || strings.ContainsAny(ticket, "\r\n") { // which base64's decoder passes over
		return claims{}, errTicket
	}
	text, proof, _ := strings.Cut(ticket, ".")
	payload, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return claims{}, errTicket
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(proof)
	if err != nil || !ed25519.Verify(s.o.Key.Public().(ed25519.PublicKey), append([]byte(ticketContext), payload...), signature) {
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
