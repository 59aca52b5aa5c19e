package gateway

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/deskyard/deskyard/rdp"
)

func TestALegIsTakenOnce(t *testing.T) {
	s, _ := newService(t)
	b, _ := s.greet("good")
	s.mu.Lock()
	leg := s.seen[0].Leg
	s.mu.Unlock()
	if err := s.dial(t.Context(), leg); err == nil || !strings.Contains(err.Error(), "HTTP/1.1 410") {
		t.Errorf("the same leg, signed by the host, again: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if e := s.end(); e.Connection != "c-1" {
		t.Errorf("ended %+v", e)
	}
}

func TestAFirstMessageThatIsNoneIsRefusedUnread(t *testing.T) {
	long := append([]byte{0x30, 0x83, 0xff, 0xff, 0xff}, make([]byte, 512)...) // says it has 16 MiB
	for name, message := range map[string][]byte{
		"too long":    long,
		"no DER":      []byte("GET / HTTP/1.1\r\n\r\n"),
		"no ticket":   {0x30, 6, 0xa0, 4, 2, 2, 0x0d, 0x3e},
		"no version":  {0x30, 0},
		"RDP at once": rdp.Request{Protocols: 1}.Bytes(),
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newService(t)
			b, err := s.browse(nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Write(message); err != nil {
				t.Fatal(err)
			}
			want := said(t, rdp.CleanPathError{Code: rdp.CleanPathGeneral, HTTP: http.StatusBadRequest}, nil)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("told %x, %v", got, err)
			}
			if s.mu.Lock(); len(s.seen) != 0 {
				t.Error("the service was asked")
			}
			s.mu.Unlock()
		})
	}
}

func TestAClientThatLeavesBeforeItsTicketCostsNothing(t *testing.T) {
	s, g := newService(t)
	for range 3 {
		b, err := s.browse(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Write([]byte{0x30}); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, answer := s.greet("bad") // behind them, and served
	if len(answer) == 0 || g.Sessions() != 0 {
		t.Errorf("answered %x with %d sessions", answer, g.Sessions())
	}
}
