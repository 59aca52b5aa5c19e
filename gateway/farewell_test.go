package gateway

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/deskyard/deskyard/relay"
)

type speech struct {
	net.Conn
	io.Reader
}

func (s speech) Read(b []byte) (int, error) { return s.Reader.Read(b) }

func TestAHostThatClosesWithoutAWordIsNotTakenForASessionThatEnded(t *testing.T) {
	bye := string(goodbye) + "\x80"
	for name, c := range map[string]struct{ stream, reason, want string }{
		"in order":             {"pictures" + bye, relay.HostClosed, relay.HostClosed},
		"cut":                  {"pictures and pictures", relay.HostClosed, vanished},
		"cut at once":          {"", relay.HostClosed, vanished},
		"cut in its last word": {"pictures" + bye[:8], relay.HostClosed, vanished},
		"the client's doing":   {"pictures", relay.ClientClosed, relay.ClientClosed},
		"an administrator's":   {"pictures", "administrator", "administrator"},
	} {
		for way, read := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "by byte": iotest.OneByteReader} {
			l := listen(speech{Reader: read(strings.NewReader(c.stream))})
			if _, err := io.Copy(io.Discard, struct{ io.Reader }{l}); err != nil {
				t.Fatal(err)
			}
			if got := l.reason(c.reason); got != c.want {
				t.Errorf("%s, %s: %q, want %q", name, way, got, c.want)
			}
		}
	}
}
