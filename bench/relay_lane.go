package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
	"unicode/utf16"

	"github.com/gobwas/ws"
	"golang.org/x/sync/errgroup"

	"github.com/deskyard/deskyard/rdp"
	"github.com/deskyard/deskyard/relay"
	"github.com/deskyard/deskyard/tsgu"
)

// lane is one session through a relay: the client's end and the session host's. Both
// ends are the bench's; only the relay between them is measured.
type lane struct {
	client, host io.ReadWriteCloser
	gather       *relay.Records // below the host's end; corked, its messages leave together; nil: none
}

// close ends both; what they say tells nobody anything.
func (l *lane) close() {
	_ = l.client.Close()
	_ = l.host.Close()
}

// readSize is what an end reads at once.
const readSize = 32 << 10

// handshakeIn bounds the opening of one end.
const handshakeIn = 20 * time.Second

// way opens lanes through one relay. A way is used by one goroutine.
type way interface {
	open(ctx context.Context) (*lane, error)
}

// straight is a relay that knows nothing but connections: where clients dial, and where
// it dials.
type straight struct {
	address string
	backend *net.TCPListener
	tls     *tls.Config // nil: no TLS on either side
	cert    tls.Certificate
}

// open dials the relay and takes the connection that it makes: there is only one.
func (s *straight) open(ctx context.Context) (*lane, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeIn)
	defer cancel()
	l := &lane{}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.dial(ctx, l) })
	group.Go(func() error { return s.take(ctx, l) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return l, nil
}

func (s *straight) dial(ctx context.Context, l *lane) error {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	if s.tls == nil {
		l.client = raw
		return nil
	}
	client := tls.Client(relay.NewRecords(raw), s.tls)
	if err := client.HandshakeContext(ctx); err != nil {
		return errors.Join(err, raw.Close())
	}
	l.client = client
	return nil
}

func (s *straight) take(ctx context.Context, l *lane) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.backend.SetDeadline(deadline); err != nil {
			return err
		}
	}
	taken, err := s.backend.Accept()
	if err != nil {
		return fmt.Errorf("await the relay's connection: %w", err)
	}
	if s.tls == nil {
		l.host = taken
		return nil
	}
	l.gather = relay.NewRecords(taken)
	host := tls.Server(l.gather, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{s.cert}})
	if err := host.HandshakeContext(ctx); err != nil {
		return errors.Join(err, taken.Close())
	}
	l.host = host
	return nil
}

// dialTLS opens TLS to the gateway as a client does.
func (y *yard) dialTLS(ctx context.Context) (*tls.Conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", y.gateway)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(relay.NewRecords(raw), y.client)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return conn, nil
}

// reach opens TLS to the gateway, which ends with ctx until stop is called.
func (y *yard) reach(ctx context.Context) (conn *tls.Conn, stop func() bool, err error) {
	if conn, err = y.dialTLS(ctx); err != nil {
		return nil, nil, err
	}
	return conn, context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() }), nil
}

// ticket is a fresh one, with the seat where its host's leg will arrive.
func (y *yard) ticket() (string, chan *leg) {
	t, arrives := rand.Text(), make(chan *leg, 1)
	y.awaited.Store(t, arrives)
	return t, arrives
}

// nativeWay is the door of native clients: MS-TSGU on a WebSocket, RDP's TLS untouched.
type nativeWay struct{ y *yard }

func (n nativeWay) open(ctx context.Context) (*lane, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeIn)
	defer cancel()
	conn, stop, err := n.y.reach(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	ticket, arrives := n.y.ticket()
	client, err := tunnelled(conn, ticket)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	select {
	case l := <-arrives:
		return &lane{client: client, host: l.conn, gather: l.records}, nil
	case <-ctx.Done():
		return nil, errors.Join(errors.New("the host's leg did not come"), conn.Close())
	}
}

// tunnelled takes a connection to where data begins.
func tunnelled(conn *tls.Conn, ticket string) (io.ReadWriteCloser, error) {
	head := "RDG_OUT_DATA " + tsgu.Path + " HTTP/1.1\r\nHost: " + conn.RemoteAddr().String() +
		"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
	if _, err := io.WriteString(conn, head); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(conn, readSize)
	resp, err := http.ReadResponse(in, &http.Request{Method: "RDG_OUT_DATA"})
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("the gateway answers HTTP %s", resp.Status)
	}
	c := &tunnelEnd{webSocketEnd: webSocketEnd{Conn: conn, in: in}}
	cookie := counted(append(wide(ticket), 0, 0))
	for _, p := range [][]byte{
		tunnelPacket(1, 1, 0, 0, 0, 2, 0),
		tunnelPacket(4, append([]byte{0x3f, 0, 0, 0, 1, 0, 0, 0}, cookie...)...),
		tunnelPacket(6, append([]byte{0, 0}, counted(wide("bench"))...)...),
		tunnelPacket(8, append([]byte{1, 0, 0x3d, 0x0d, 3, 0}, counted(wide("host"))...)...),
	} {
		if _, err := c.webSocketEnd.Write(p); err != nil {
			return nil, err
		}
	}
	for _, want := range []uint16{2, 5, 7, 9} {
		kind, size, err := c.header()
		if err != nil {
			return nil, err
		}
		if _, err := io.CopyN(io.Discard, &c.webSocketEnd, int64(size)); err != nil {
			return nil, err
		}
		if kind != want {
			return nil, fmt.Errorf("the gateway answers a packet of type %#x where %#x is due", kind, want)
		}
	}
	return c, nil
}

func wide(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func counted(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func tunnelPacket(kind uint16, body ...byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, kind)
	return append(binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(8+len(body))), body...)
}

// webSocketEnd is a client's end of a WebSocket, as a stream.
type webSocketEnd struct {
	net.Conn
	in   *bufio.Reader
	left int64
	out  []byte
}

func (e *webSocketEnd) Read(b []byte) (int, error) {
	for e.left == 0 {
		h, err := ws.ReadHeader(e.in)
		if err != nil {
			return 0, err
		}
		if h.OpCode == ws.OpClose {
			return 0, io.EOF
		}
		e.left = h.Length
	}
	n, err := e.in.Read(b[:min(int64(len(b)), e.left)])
	e.left -= int64(n)
	return n, err
}

func (e *webSocketEnd) Write(b []byte) (int, error) {
	e.out = append(e.out[:0], 0x82)
	switch n := len(b); {
	case n < 126:
		e.out = append(e.out, 0x80|byte(n))
	case n < 1<<16:
		e.out = binary.BigEndian.AppendUint16(append(e.out, 0x80|126), uint16(n))
	default:
		e.out = binary.BigEndian.AppendUint64(append(e.out, 0x80|127), uint64(n))
	}
	mask := ws.NewMask()
	e.out = append(e.out, mask[:]...)
	at := len(e.out)
	e.out = append(e.out, b...)
	ws.Cipher(e.out[at:], mask, 0)
	if _, err := e.Conn.Write(e.out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// tunnelEnd is a native client's end: data packets in a WebSocket.
type tunnelEnd struct {
	webSocketEnd
	data int // left of the data packet being read
	send []byte
}

func (t *tunnelEnd) header() (kind uint16, size int, err error) {
	var h [8]byte
	if _, err := io.ReadFull(&t.webSocketEnd, h[:]); err != nil {
		return 0, 0, err
	}
	return binary.LittleEndian.Uint16(h[:]), int(binary.LittleEndian.Uint32(h[4:])) - len(h), nil
}

func (t *tunnelEnd) Read(b []byte) (int, error) {
	for t.data == 0 {
		kind, size, err := t.header()
		if err != nil {
			return 0, err
		}
		if kind != 0xA {
			return 0, fmt.Errorf("the gateway sends a packet of type %#x where data is due", kind)
		}
		var n [2]byte
		if _, err := io.ReadFull(&t.webSocketEnd, n[:]); err != nil {
			return 0, err
		}
		t.data = size - len(n)
	}
	n, err := t.webSocketEnd.Read(b[:min(len(b), t.data)])
	t.data -= n
	return n, err
}

func (t *tunnelEnd) Write(b []byte) (int, error) {
	t.send = append(t.send[:0], tunnelPacket(0xA, counted(b)...)...)
	if _, err := t.webSocketEnd.Write(t.send); err != nil {
		return 0, err
	}
	return len(b), nil
}

// webWay is the door of the web client: RDCleanPath, and RDP's TLS ends at the gateway.
type webWay struct{ y *yard }

func (w webWay) open(ctx context.Context) (*lane, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeIn)
	defer cancel()
	conn, stop, err := w.y.reach(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	u := &url.URL{Scheme: "wss", Host: w.y.gateway, Path: "/gateway/v1/rdp"}
	early, _, err := ws.Dialer{}.Upgrade(conn, u)
	if err == nil && early != nil {
		err = errors.New("the gateway spoke first")
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	ticket, arrives := w.y.ticket()
	client := &webSocketEnd{Conn: conn, in: bufio.NewReaderSize(conn, readSize)}
	q, err := rdp.CleanPathRequest{Destination: "host", Ticket: ticket, X224: rdp.Request{Protocols: rdp.ProtocolTLS | rdp.ProtocolHybrid}.Bytes()}.Bytes()
	if err == nil {
		_, err = client.Write(q)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	select {
	case l := <-arrives:
		return w.begin(client, l)
	case <-ctx.Done():
		return nil, errors.Join(errors.New("the host's leg did not come"), conn.Close())
	}
}

// begin plays the host's RDP listener up to its TLS, and reads the gateway's word of it.
func (w webWay) begin(client *webSocketEnd, l *leg) (*lane, error) {
	if _, err := rdp.ReadTPKT(l.conn, rdp.MaxNegotiation); err != nil {
		return nil, fmt.Errorf("read the connection request: %w", err)
	}
	// CredSSP chosen: the gateway looks into no packet then.
	if _, err := l.conn.Write(rdp.Confirm{Protocol: rdp.ProtocolHybrid}.Bytes()); err != nil {
		return nil, err
	}
	inner := relay.NewRecords(l.conn)
	host := tls.Server(inner, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{w.y.cert}})
	if err := host.Handshake(); err != nil {
		return nil, fmt.Errorf("end RDP's TLS as a host: %w", err)
	}
	if _, err := client.Read(make([]byte, 1)); err != nil {
		return nil, fmt.Errorf("read the gateway's answer: %w", err)
	}
	if _, err := io.CopyN(io.Discard, client, client.left); err != nil {
		return nil, fmt.Errorf("read the gateway's answer: %w", err)
	}
	return &lane{client: client, host: host, gather: inner}, nil
}
