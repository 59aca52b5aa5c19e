package connect

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"
)

// signer makes and reads tickets with a key of n.
func signer(tb testing.TB, n byte, now time.Time) *Service {
	key, err := ticketKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)))
	if err != nil {
		tb.Fatal(err)
	}
	return &Service{ticketKey: key, now: func() time.Time { return now }}
}

func TestATicketOfAnotherKeyIsNone(t *testing.T) {
	s, other := signer(t, 3, noon), signer(t, 4, noon)
	ticket := s.sign(claims{For: forFile, User: "u", Expires: noon.Unix() + 1})
	if c, err := s.verify(ticket); err != nil || c.User != "u" {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := other.verify(ticket); err == nil {
		t.Error("another key's ticket was taken")
	}
	if _, err := signer(t, 3, noon.Add(time.Second)).verify(ticket); err == nil {
		t.Error("an expired ticket was taken")
	}
}

// FuzzVerify: whatever is shown, nothing but what was made here is a ticket.
func FuzzVerify(f *testing.F) {
	s := signer(f, 3, noon)
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
