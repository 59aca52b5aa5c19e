package reverse

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func masked(op ws.OpCode, payload []byte) []byte {
	return ws.MustCompileFrame(ws.MaskFrameWith(ws.NewFrame(op, true, payload), [4]byte{1, 2, 3, 4}))
}

func plain(op ws.OpCode, payload []byte) []byte {
	return ws.MustCompileFrame(ws.NewFrame(op, true, payload))
}

// tape is a connection that plays bytes and keeps what is written.
type tape struct {
	net.Conn
	r bytes.Reader
	w bytes.Buffer
}

func (t *tape) Read(b []byte) (int, error)       { return t.r.Read(b) }
func (t *tape) Write(b []byte) (int, error)      { return t.w.Write(b) }
func (t *tape) SetReadDeadline(time.Time) error  { return nil }
func (t *tape) SetWriteDeadline(time.Time) error { return nil }
func (t *tape) Close() error                     { return nil }

func playing(b []byte) *tape {
	t := &tape{}
	t.r.Reset(b)
	return t
}

func ignore(ws.OpCode, []byte) {}

func header(t testing.TB, h ws.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := ws.WriteHeader(&b, h); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFramesOutsideTheProtocolEndTheLink(t *testing.T) {
	text := []byte(`{"type":"report"}`)
	service := func(c net.Conn) *Frames { return ServiceFrames(c) }
	agent := func(c net.Conn) *Frames { return AgentFrames(c, nil) }
	unfinished := ws.NewFrame(ws.OpText, false, []byte(`{"type":`))
	for name, x := range map[string]struct {
		side func(net.Conn) *Frames
		sent []byte
	}{
		"an agent's without a mask":   {service, plain(ws.OpText, text)},
		"a service's with a mask":     {agent, masked(ws.OpText, text)},
		"an agent's fragment":         {service, ws.MustCompileFrame(ws.MaskFrameWith(unfinished, [4]byte{1}))},
		"a service's fragment":        {agent, ws.MustCompileFrame(unfinished)},
		"too large for an agent":      {service, header(t, ws.Header{Fin: true, OpCode: ws.OpText, Masked: true, Length: MaxFromAgent + 1})},
		"too large for a service":     {agent, header(t, ws.Header{Fin: true, OpCode: ws.OpText, Length: MaxFromService + 1})},
		"a ping too long":             {agent, header(t, ws.Header{Fin: true, OpCode: ws.OpPing, Length: 126})},
		"a bit that nobody agreed on": {agent, header(t, ws.Header{Fin: true, Rsv: ws.Rsv(true, false, false), OpCode: ws.OpText})},
		"not a message":               {service, masked(ws.OpText, []byte("hello"))},
		"cut off":                     {service, masked(ws.OpText, text)[:9]},
	} {
		if m, err := x.side(playing(x.sent)).ReadMessage(time.Second, ignore); err == nil || errors.Is(err, ErrPeerClosed) {
			t.Errorf("%s: read as %+v, %v", name, m, err)
		}
	}
}

func TestEachSideReadsWhatTheOtherWrites(t *testing.T) {
	for name, pair := range map[string]func(from, to net.Conn) (*Frames, *Frames){
		"to the agent":   func(from, to net.Conn) (*Frames, *Frames) { return ServiceFrames(from), AgentFrames(to, nil) },
		"to the service": func(from, to net.Conn) (*Frames, *Frames) { return AgentFrames(from, nil), ServiceFrames(to) },
	} {
		wire := &tape{}
		out, _ := pair(wire, wire)
		beat := Beat(1500)
		kept := bytes.Clone(beat)
		for _, err := range []error{out.Write(ws.OpPing, beat), out.Send(TypeStopping, "7", struct{}{}), out.Write(ws.OpClose, nil)} {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if !bytes.Equal(beat, kept) {
			t.Errorf("%s: what was sent was changed", name)
		}
		back := playing(wire.w.Bytes())
		_, in := pair(back, back)
		var seen []ws.OpCode
		see := func(op ws.OpCode, payload []byte) {
			seen = append(seen, op)
			if op == ws.OpPing && BeatRTT(payload) != 1500 {
				t.Errorf("%s: a beat of %d us", name, BeatRTT(payload))
			}
		}
		m, err := in.ReadMessage(time.Second, see)
		if err != nil || m.Type != TypeStopping || m.ID != "7" || len(seen) != 2 || seen[0] != ws.OpPing {
			t.Errorf("%s: %+v, %v after %v", name, m, err, seen)
		}
		if back.w.Len() == 0 {
			t.Errorf("%s: the ping was not answered", name)
		}
		if _, err := in.ReadMessage(time.Second, ignore); !errors.Is(err, ErrPeerClosed) {
			t.Errorf("%s: the close was read as %v", name, err)
		}
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add(true, masked(ws.OpText, []byte(`{"type":"stopping"}`)))
	f.Add(true, append(masked(ws.OpPing, []byte("1234")), masked(ws.OpClose, nil)...))
	f.Add(false, plain(ws.OpText, []byte(`{"type":"bye"}`)))
	f.Fuzz(func(t *testing.T, service bool, b []byte) {
		side, most := AgentFrames(playing(b), nil), MaxFromService
		if service {
			side, most = ServiceFrames(playing(b)), MaxFromAgent
		}
		m, err := side.ReadMessage(time.Second, func(_ ws.OpCode, p []byte) {
			if len(p) > most {
				t.Fatalf("a frame of %d bytes", len(p))
			}
		})
		if err == nil && m.Type == "" {
			t.Fatal("a message without a type")
		}
	})
}
