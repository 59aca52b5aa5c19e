package sxs

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/socket"
)

// machine is a machine with two sessions, one of which ends when it is told to.
type machine struct {
	living  map[string]string // native id -> state
	shown   string
	rdp     string // address of its RDP server
	unknown bool
}

func (m *machine) list(context.Context) ([]deskyard.UserSession, error) {
	if m.unknown {
		return nil, errors.New("the bus does not answer")
	}
	var list []deskyard.UserSession
	for id, state := range m.living {
		list = append(list, deskyard.UserSession{Native: id, State: state, User: "alice"})
	}
	return list, nil
}

func (m *machine) find(native string) error {
	if _, ok := m.living[native]; !ok {
		return &socket.Error{Status: http.StatusNotFound, Message: "there is no such session"}
	}
	return nil
}

func (m *machine) disconnect(_ context.Context, native string) error {
	if err := m.find(native); err != nil {
		return err
	}
	m.living[native] = "Disconnected"
	return nil
}

func (m *machine) logoff(_ context.Context, native string) error {
	if err := m.find(native); err != nil {
		return err
	}
	delete(m.living, native)
	return nil
}

func (m *machine) message(_ context.Context, native, title, body string) error {
	m.shown = title + ": " + body
	return m.find(native)
}

func (m *machine) prepare(context.Context) error  { return nil }
func (m *machine) state(context.Context) Listener { return Listener{Ready: true} }

func serveStack(t *testing.T, m *machine) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sxs.sock")
	stack := &Stack{version: "1.2.3", sessions: m, listener: m, legs: &legs{log: slog.New(slog.DiscardHandler), rdp: m.rdp, parts: true, news: newNews()}, log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- stack.Run(ctx, path, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	return NewClient(path)
}

func TestTheStackListsAndCommandsSessionsOverItsSocket(t *testing.T) {
	m := &machine{living: map[string]string{"3": "Active", "c1": "Active"}}
	c := serveStack(t, m)
	ctx := t.Context()
	st, err := c.State(ctx)
	if err != nil || st.Version != "1.2.3" || !st.Listener.Ready || !st.SessionsKnown || len(st.Sessions) != 2 {
		t.Fatalf("%+v, %v", st, err)
	}
	if err := c.Disconnect(ctx, "3"); err != nil || m.living["3"] != "Disconnected" {
		t.Fatalf("%v, %v", err, m.living)
	}
	if err := c.Message(ctx, "c1", "Maintenance", "at noon"); err != nil || m.shown != "Maintenance: at noon" {
		t.Fatalf("%v, %q", err, m.shown)
	}
	if err := c.Logoff(ctx, "c1"); err != nil || len(m.living) != 1 {
		t.Fatalf("%v, %v", err, m.living)
	}
	if err := c.Logoff(ctx, "c1"); err == nil || !strings.Contains(err.Error(), "no such session") {
		t.Fatalf("logging off a session that ended: %v", err)
	}
}

func TestAStackThatCannotAskSaysSoInsteadOfNoSessions(t *testing.T) {
	st, err := serveStack(t, &machine{unknown: true}).State(t.Context())
	if err != nil || st.SessionsKnown || !strings.Contains(st.Detail, "bus") {
		t.Fatalf("%+v, %v", st, err)
	}
}

func TestTheProbeBelievesOnlyAnRDPServer(t *testing.T) {
	for name, c := range map[string]struct {
		answer []byte
		ok     bool
	}{
		"connection confirm": {[]byte{3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, 1, 0, 0, 0}, true},
		"http":               {[]byte("HTTP/1.1 400 Bad Request\r\n"), false},
		"closes at once":     {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				if _, err := io.ReadFull(conn, make([]byte, len(connectionRequest))); err == nil && c.answer != nil {
					_, err = conn.Write(c.answer)
					if err != nil {
						t.Error(err)
					}
				}
			}()
			err = probe(t.Context(), l.Addr().String())
			<-done
			if (err == nil) != c.ok {
				t.Fatalf("probe = %v", err)
			}
		})
	}
}

const shippedINI = "[Globals]\n; comment\nini_version=1\nport=3389\nsecurity_layer=negotiate\ncertificate=\n\n[Logging]\nport=9\n"

func TestSettingGlobalsChangesThoseAndNothingElse(t *testing.T) {
	want := map[string]string{"port": "tcp://127.0.0.1:3389", "certificate": "/c.pem", "key_file": "/k.pem"}
	got := string(setGlobals([]byte(shippedINI), want))
	expect := "[Globals]\nkey_file=/k.pem\n; comment\nini_version=1\nport=tcp://127.0.0.1:3389\nsecurity_layer=negotiate\ncertificate=/c.pem\n\n[Logging]\nport=9\n"
	if got != expect {
		t.Fatalf("got:\n%s", got)
	}
	if again := string(setGlobals([]byte(got), want)); again != got {
		t.Fatalf("a second time changed it:\n%s", again)
	}
	for _, odd := range []string{"", "port=", "[Globals]", "[Other]\nport=1"} {
		if g := globals(setGlobals([]byte(odd), want)); g["key_file"] != "/k.pem" || g["port"] != "tcp://127.0.0.1:3389" {
			t.Errorf("%q became %v", odd, g)
		}
	}
}

func FuzzSetGlobals(f *testing.F) {
	f.Add([]byte(shippedINI))
	f.Add([]byte("[globals]\nport\n=\n"))
	f.Fuzz(func(t *testing.T, ini []byte) {
		want := map[string]string{"port": "1"}
		once := setGlobals(ini, want)
		if globals(once)["port"] != "1" {
			t.Fatalf("not set in %q", once)
		}
		if twice := setGlobals(once, want); string(twice) != string(once) {
			t.Fatalf("%q changed again to %q", once, twice)
		}
	})
}
