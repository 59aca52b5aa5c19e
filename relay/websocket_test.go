package relay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// masked makes a frame as a client sends it.
func masked(op ws.OpCode, fin bool, payload []byte) []byte {
	var b bytes.Buffer
	f := ws.MaskFrame(ws.NewFrame(op, fin, bytes.Clone(payload)))
	if err := ws.WriteFrame(&b, f); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}

func reading(stream []byte) (*WebSocket, *canned) {
	c := &canned{}
	return NewWebSocket(c, bufio.NewReader(bytes.NewReader(stream))), c
}

func TestMessagesAreOneStream(t *testing.T) {
	large := make([]byte, 70_000)
	_, _ = rand.Read(large)
	s, c := reading(bytes.Join([][]byte{
		masked(ws.OpBinary, true, []byte("ab")), masked(ws.OpPing, true, []byte("?")), masked(ws.OpBinary, false, []byte("c")),
		masked(ws.OpContinuation, true, []byte("de")), masked(ws.OpBinary, true, nil), masked(ws.OpText, true, large), masked(ws.OpClose, true, []byte{3, 0xe8}),
	}, nil))
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, append([]byte("abcde"), large...)) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if want := "\x8a\x01?" + "\x88\x02\x03\xe8"; c.out.String() != want {
		t.Errorf("answered %x", c.out.String())
	}
}

func TestFramesThatBreakTheRulesEndTheStream(t *testing.T) {
	unmasked := masked(ws.OpBinary, true, []byte("x"))
	unmasked[1] &^= 0x80
	compressed := masked(ws.OpBinary, true, []byte("x"))
	compressed[0] |= 0x40
	negative := append([]byte{0x82, 0xff}, bytes.Repeat([]byte{0xff}, 8)...)
	for name, stream := range map[string][]byte{
		"not masked": unmasked, "compressed": compressed, "a negative length": negative, "no opcode": masked(3, true, nil),
		"a long ping": masked(ws.OpPing, true, make([]byte, 126)), "cut in its header": masked(ws.OpBinary, true, []byte("x"))[:3], "cut in its data": masked(ws.OpBinary, true, []byte("xyz"))[:8],
	} {
		s, _ := reading(stream)
		if got, err := io.ReadAll(s); err == nil {
			t.Errorf("%s: read %q", name, got)
		}
	}
}

func TestGatheredMessagesStayApartAndLeaveTogether(t *testing.T) {
	s, c := reading(nil)
	if err := s.Gather(true); err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"one", "two"} {
		if _, err := s.Write([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Gather(false); err != nil || c.writes != 1 || c.out.String() != "\x82\x03one\x82\x03two" {
		t.Errorf("%d writes of %q, %v", c.writes, c.out.String(), err)
	}
	if _, err := s.Write(make([]byte, 70_000)); err != nil {
		t.Fatal(err)
	}
	if h := c.out.Bytes()[10:20]; !bytes.Equal(h, []byte{0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70}) {
		t.Errorf("a large message begins %x", h)
	}
}

func TestAnotherImplementationUnderstandsEveryFrame(t *testing.T) {
	var wg sync.WaitGroup
	defer wg.Wait()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := Upgrade(w, r)
		if err != nil {
			return
		}
		wg.Go(func() {
			_, _ = io.Copy(s, s) // ends with the client
			_ = s.Close()
		})
	}))
	defer srv.Close()
	conn, _, _, err := ws.Dial(t.Context(), strings.Replace(srv.URL, "http", "ws", 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 125, 126, 4096, 65_535, 65_536, 200_000} {
		m := make([]byte, size)
		_, _ = rand.Read(m)
		if err := wsutil.WriteClientBinary(conn, m); err != nil {
			t.Fatal(err)
		}
		var got []byte
		for len(got) < size {
			part, err := wsutil.ReadServerBinary(conn)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, part...)
		}
		if !bytes.Equal(got, m) {
			t.Errorf("%d bytes came back changed", size)
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	for _, head := range []http.Header{{}, {"Upgrade": {"websocket"}}, {"Upgrade": {"websocket"}, "Sec-Websocket-Key": {"x"}, "Sec-Websocket-Version": {"13"}}} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = head
		if len(head) > 0 {
			r.Header.Set("Connection", "Upgrade")
		}
		resp, err := srv.Client().Do(r)
		if err != nil || resp.StatusCode != http.StatusUpgradeRequired {
			t.Errorf("%v: %v, %v", head, resp, err)
			continue
		}
		_ = resp.Body.Close()
	}
}

func TestSessionsEndWithEitherSideIdlenessAnOrderAndTheDrain(t *testing.T) {
	var s Sessions
	start := func(id string, idle time.Duration) (client, host net.Conn, ended chan End) {
		client, a := net.Pipe()
		host, b := net.Pipe()
		ended = make(chan End, 1)
		go func() { ended <- s.Run(id, a, b, idle) }()
		return client, host, ended
	}
	_, host, ended := start("host", 0)
	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	if e := <-ended; e.Reason != HostClosed {
		t.Errorf("%+v", e)
	}
	client, _, ended := start("idle", 50*time.Millisecond)
	if e := <-ended; e.Reason != Idle {
		t.Errorf("%+v", e)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("an idle client reads %v", err)
	}
	client, host, ended = start("order", 0)
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := host.Read(make([]byte, 1)); err != nil { // it runs
		t.Fatal(err)
	}
	if s.Stop("another", "x") || !s.Stop("order", "administrator") {
		t.Error("the wrong session was found")
	}
	if e := <-ended; e.Reason != "administrator" || e.FromClient != 1 {
		t.Errorf("%+v", e)
	}
	client, host, ended = start("drain", 0)
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := host.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	gone, cancel := contextGone()
	defer cancel()
	s.Drain(gone)
	if e := <-ended; e.Reason != Stopping {
		t.Errorf("%+v", e)
	}
	_, _, ended = start("late", 0)
	if e := <-ended; e.Reason != Stopping || s.Len() != 0 {
		t.Errorf("after the drain: %+v", e)
	}
}

func TestAConnectionIsBroughtOnceToWhoAwaitsIt(t *testing.T) {
	var r Rendezvous
	a, b := net.Pipe()
	defer b.Close()
	if err := r.Bring("x", Arrival{Conn: a}); !errors.Is(err, ErrNobodyWaits) {
		t.Errorf("nobody awaited it: %v", err)
	}
	seat := r.Expect("x")
	if err := r.Bring("x", Arrival{Conn: a, Host: "h"}); err != nil {
		t.Fatal(err)
	}
	if err := r.Bring("x", Arrival{Conn: a}); !errors.Is(err, ErrNobodyWaits) || r.Awaits("x") {
		t.Errorf("it was brought twice: %v", err)
	}
	if got, err := seat.Wait(t.Context()); err != nil || got.Host != "h" {
		t.Errorf("%+v, %v", got, err)
	}
	seat.Leave()
	seat = r.Expect("y")
	gone, cancel := contextGone()
	defer cancel()
	if _, err := seat.Wait(gone); err == nil {
		t.Error("something came")
	}
	if err := r.Bring("y", Arrival{Conn: a}); err != nil {
		t.Fatal(err)
	}
	seat.Leave()
	if _, err := a.Write([]byte("x")); err == nil {
		t.Error("a connection that nobody took was left open")
	}
}

// FuzzWebSocket: whatever a client sends, what is read is no more than it sent.
func FuzzWebSocket(f *testing.F) {
	f.Add(masked(ws.OpBinary, true, []byte("hello")))
	f.Add(append(masked(ws.OpPing, true, nil), masked(ws.OpClose, true, nil)...))
	f.Fuzz(func(t *testing.T, stream []byte) {
		s, _ := reading(stream)
		if got, _ := io.ReadAll(s); len(got) > len(stream) { // any error is a right answer to noise
			t.Errorf("%d bytes came of %d", len(got), len(stream))
		}
	})
}

// contextGone is a context that has ended.
func contextGone() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx, cancel
}

// What a client sends in one message goes to the host in one record: crypto/tls gives it
// out in pieces.
func TestAMessageIsNotTakenApartOnItsWayToTheHost(t *testing.T) {
	client, host, end := throughWebSocket(t)
	defer end()
	b := make([]byte, batchBuffer)
	for _, size := range []int{1, 4082, 4088, 4096, 5000, 16000} {
		if _, err := client.Write(masked(ws.OpBinary, true, make([]byte, size))); err != nil {
			t.Fatal(err)
		}
		if n, err := host.Read(b); n != size || err != nil {
			t.Errorf("of a message of %d bytes, the first record carries %d, %v", size, n, err)
			if _, err := io.ReadFull(host, b[n:size]); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestASessionCarriesEveryByteOfMessages(t *testing.T) {
	client, host, end := throughWebSocket(t)
	defer end()
	up := make([]byte, 3<<20)
	_, _ = rand.Read(up)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { pieces(t, framing{client}, up) })
	got := make([]byte, len(up))
	if _, err := io.ReadFull(host, got); err != nil || !bytes.Equal(got, up) {
		t.Errorf("bytes were changed on their way: %v", err)
	}
}

// framing writes each piece as a message.
type framing struct{ *tls.Conn }

func (f framing) Write(b []byte) (int, error) {
	if _, err := f.Conn.Write(masked(ws.OpBinary, true, b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// throughWebSocket is a session whose client speaks a WebSocket on TLS; end ends it.
func throughWebSocket(t *testing.T) (client, host *tls.Conn, end func()) {
	t.Helper()
	client, gatewayClient := tlsPair(t)
	gatewayHost, host := tlsPair(t)
	var s Sessions
	ended := make(chan End, 1)
	stream := NewWebSocket(gatewayClient, bufio.NewReaderSize(gatewayClient, idleBuffer))
	go func() { ended <- s.Run("x", stream, gatewayHost, 0) }()
	if err := errors.Join(host.SetDeadline(time.Now().Add(20*time.Second)), client.SetDeadline(time.Now().Add(20*time.Second))); err != nil {
		t.Fatal(err)
	}
	return client, host, func() {
		_ = client.Close() // the end is what is waited for
		<-ended
	}
}

// A client's TLS may end a record in the middle of a frame's header, while the session
// takes only what has arrived.
func TestHeadersThatRecordsCutLoseNothing(t *testing.T) {
	client, host, end := throughWebSocket(t)
	defer end()
	whole := append(masked(ws.OpBinary, true, make([]byte, 100)), masked(ws.OpBinary, true, make([]byte, 100))...)
	last := append(masked(ws.OpPong, true, []byte("heartbeat")), masked(ws.OpBinary, true, bytes.Repeat([]byte{7}, 300))...)
	for cut := range 6 + 9 + 8 { // the headers and the pong's payload
		if _, err := client.Write(append(bytes.Clone(whole), last[:cut]...)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(host, make([]byte, 200)); err != nil { // the rest was asked for in vain
			t.Fatalf("before a header cut at %d: %v", cut, err)
		}
		if _, err := client.Write(last[cut:]); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 300)
		if _, err := io.ReadFull(host, got); err != nil || bytes.Count(got, []byte{7}) != len(got) {
			t.Fatalf("a header cut at %d: %x, %v", cut, got, err)
		}
	}
}

func TestReleasedReaderBeginsWithWhatTheServerHadRead(t *testing.T) {
	conn, far := net.Pipe()
	defer conn.Close()
	served := bufio.NewReader(strings.NewReader("early"))
	if _, err := served.Peek(1); err != nil {
		t.Fatal(err)
	}
	in := Released(conn, served)
	if in.Buffered() != len("early") {
		t.Errorf("%d bytes are buffered", in.Buffered())
	}
	go func() {
		_, _ = io.WriteString(far, " and late") // the read below says if it failed
		_ = far.Close()
	}()
	got, err := io.ReadAll(in)
	if err != nil || string(got) != "early and late" {
		t.Errorf("read %q, %v", got, err)
	}
}
