package connect

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"
)

func signer(now time.Time) *Service {
	return &Service{o: Options{Key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, ed25519.SeedSize))}, now: func() time.Time { return now }}
}

func TestATicketOfAnotherKeyIsNone(t *testing.T) {
	s, other := signer(noon), signer(noon)
	other.o.Key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{4}, ed25519.SeedSize))
	ticket := s.sign(claims{For: forFile, User: "u", Expires: noon.Unix() + 1})
	if c, err := s.verify(ticket); err != nil || c.User != "u" {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := other.verify(ticket); err == nil {
		t.Error("another key's signature was taken")
	}
	if _, err := signer(noon.Add(time.Second)).verify(ticket); err == nil {
		t.Error("an expired ticket was taken")
	}
}

// FuzzVerify: whatever is shown, nothing but what was signed is a ticket.
func FuzzVerify(f *testing.F) {
	s := signer(noon)
	good := s.sign(claims{For: forConnection, User: "u", Connection: "c", Host: "h", Expires: noon.Unix() + 30})
	f.Add(good)
	f.Add(good + "=")
	f.Add(good + "\n")
	f.Add(good[:9] + "\r" + good[9:])
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add(".")
	f.Fuzz(func(t *testing.T, ticket string) {
		if _, err := s.verify(ticket); (err == nil) != (ticket == good) {
			t.Fatalf("%q: %v", ticket, err)
		}
	})
}
