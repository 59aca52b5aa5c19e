//go:build e2e

package sessions

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard/rdp"
)

func trust(t *testing.T, pem []byte) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("the service's CA is no PEM")
	}
	return &tls.Config{RootCAs: roots}
}

// dial connects from another network. Sockets belong to the network of the thread that
// makes them.
func (p *place) dial(address string) (net.Conn, error) {
	runtime.LockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer own.Close()
	theirs, err := os.Open("/proc/" + p.pid + "/ns/net")
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	if err := unix.Setns(int(theirs.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
		return nil, errors.Join(err, back) // the thread stays locked, and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return conn, err
}

// dialTLS connects to the house from a place.
func (y *yard) dialTLS(t *testing.T, from *place, port string) (*tls.Conn, error) {
	t.Helper()
	raw, err := from.dial(net.JoinHostPort(houseIP, port))
	if err != nil {
		return nil, err
	}
	c := y.trusting(t)
	c.ServerName = houseIP
	return tls.Client(raw, c), nil
}

// page is a small web client: RDCleanPath on a WebSocket, and as much RDP as shows that
// bytes flow between it and the host's xrdp.
type page struct {
	conn   net.Conn
	in     *bufio.Reader
	joined uint16 // channels
	user   uint16
	buffer []byte
}

// ticketFor has the service decide a connection of a person's.
func (y *yard) ticketFor(t *testing.T, name string) (connection, ticket string) {
	t.Helper()
	var b struct{ ConnectionID, Ticket string }
	y.as(t, name, http.MethodPost, serviceURL+"/connect/v1/connections", map[string]any{"resourceId": y.resource}, &b)
	y.secrets[b.Ticket] = "a ticket of " + name
	return b.ConnectionID, b.Ticket
}

// browse opens a WebSocket at a path of the gateway's.
func (y *yard) browse(t *testing.T, from *place, port, path string) (*page, error) {
	t.Helper()
	conn, err := y.dialTLS(t, from, port)
	if err != nil {
		return nil, err
	}
	p := &page{conn: conn, in: bufio.NewReader(conn)}
	key := make([]byte, 16)
	_, _ = rand.Read(key) // never fails
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
		path, houseIP, port, base64.StdEncoding.EncodeToString(key))
	if err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(p.in, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // what came, came
		return nil, errors.Join(fmt.Errorf("%s %s", resp.Status, said), conn.Close())
	}
	return p, nil
}

// greet shows a ticket at the web door, where people are.
func (y *yard) greet(t *testing.T, port, ticket string) (*page, error) {
	t.Helper()
	return y.greetFrom(t, y.people, port, ticket)
}

// refused is the web door's answer to a client that gets no session.
type refused struct{ answer []byte }

func (r refused) Error() string { return fmt.Sprintf("refused: %x", r.answer) }

func (y *yard) greetFrom(t *testing.T, from *place, port, ticket string) (*page, error) {
	t.Helper()
	p, err := y.browse(t, from, port, "/gateway/v1/rdp")
	if err != nil {
		return nil, err
	}
	request, err := rdp.CleanPathRequest{Destination: "desk", Ticket: ticket, X224: rdp.Request{Protocols: rdp.ProtocolTLS}.Bytes()}.Bytes()
	must(t, err)
	if err := p.send(request); err != nil {
		return p, err
	}
	answer, err := p.message()
	if err != nil {
		return p, err
	}
	if len(answer) < 100 { // the host's certificate is longer
		return p, errors.Join(refused{answer}, p.Close())
	}
	return p, nil
}

func (p *page) Close() error { return p.conn.Close() }

// send sends one masked binary message.
func (p *page) send(b []byte) error {
	head := []byte{0x82, 0x80 | 126, byte(len(b) >> 8), byte(len(b)), 0, 0, 0, 0} // masked with zeros
	_, err := p.conn.Write(append(head, b...))
	return err
}

// message reads one message; io.EOF where the gateway closes.
func (p *page) message() ([]byte, error) {
	for {
		op, b, err := p.frame()
		switch {
		case err != nil:
			return nil, err
		case op == 8:
			return b, io.EOF
		case op == 2:
			return b, nil
		}
	}
}

func (p *page) frame() (op byte, b []byte, err error) {
	var h [8]byte
	if _, err := io.ReadFull(p.in, h[:2]); err != nil {
		return 0, nil, err
	}
	op, n := h[0]&15, int(h[1])
	switch n {
	case 126:
		if _, err := io.ReadFull(p.in, h[:2]); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(h[:]))
	case 127:
		if _, err := io.ReadFull(p.in, h[:8]); err != nil {
			return 0, nil, err
		}
		n = int(min(binary.BigEndian.Uint64(h[:]), 1<<20))
	}
	b = make([]byte, n)
	_, err = io.ReadFull(p.in, b)
	return op, b, err
}

// packet reads one TPKT of the host's, which may come in parts.
func (p *page) packet() ([]byte, error) {
	for len(p.buffer) < 4 || len(p.buffer) < int(binary.BigEndian.Uint16(p.buffer[2:])) {
		b, err := p.message()
		if err != nil {
			return nil, err
		}
		p.buffer = append(p.buffer, b...)
	}
	n := int(binary.BigEndian.Uint16(p.buffer[2:]))
	b := p.buffer[:n]
	p.buffer = p.buffer[n:]
	return b, nil
}

// channels is how many virtual channels the client asks for, and so how often step can be
// called.
const channels = 24

// step goes one step on in RDP's connection sequence, and wants the host's answer: bytes
// flow, both ways.
func (p *page) step() error {
	var ask []byte
	var answer byte
	first := p.user == 0
	if first {
		ask, answer = []byte{0x28}, 0x2e // attach user
	} else {
		ask, answer = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{0x38}, p.user-1001), p.channel()), 0x3e
	}
	if err := p.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if err := p.send(tpkt(ask)); err != nil {
		return err
	}
	got, err := p.packet()
	if err != nil {
		return err
	}
	if len(got) < 11 || got[7] != answer {
		return fmt.Errorf("the host answers %x", got)
	}
	if first {
		p.user = 1001 + binary.BigEndian.Uint16(got[9:])
		return nil
	}
	p.joined++
	return nil
}

func (p *page) channel() uint16 {
	switch p.joined {
	case 0:
		return p.user
	case 1:
		return 1003
	}
	return 1004 + p.joined - 2
}

// tpkt wraps an MCS packet (X.224 data).
func tpkt(b []byte) []byte {
	return append([]byte{3, 0, byte((len(b) + 7) >> 8), byte(len(b) + 7), 2, 0xf0, 0x80}, b...)
}

// begin starts RDP's connection sequence: MCS Connect-Initial ([MS-RDPBCGR] 2.2.1.3) and
// Erect Domain.
func (p *page) begin() error {
	if err := p.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if err := p.send(tpkt(connectInitial())); err != nil {
		return err
	}
	got, err := p.packet()
	if err != nil {
		return err
	}
	if len(got) < 9 || got[7] != 0x7f || got[8] != 0x66 {
		return fmt.Errorf("the host answers %x", got)
	}
	return p.send(tpkt([]byte{4, 1, 0, 1, 0}))
}

func connectInitial() []byte {
	core := make([]byte, 0xd8)
	copy(core, []byte{0x01, 0xc0, 0xd8, 0, 4, 0, 8, 0, 0x20, 3, 0x58, 2, 0x01, 0xca, 0x03, 0xaa, 9, 4, 0, 0, 0x28, 0x0a})
	core[56] = 4                                // keyboard: enhanced
	core[64] = 12                               // function keys
	copy(core[132:], []byte{0x01, 0xca, 1, 0})  // 8 bpp of old; product id
	copy(core[140:], []byte{24, 0, 7, 0, 1, 0}) // 24 bpp
	core[212] = 1                               // TLS was selected
	data := append(core, 2, 0xc0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	data = binary.LittleEndian.AppendUint16(append(data, 3, 0xc0), 8+12*channels)
	data = binary.LittleEndian.AppendUint32(data, channels)
	for i := range channels {
		data = append(data, 'c', 'h', byte('a'+i), 0, 0, 0, 0, 0, 0, 0, 0, 0x80)
	}
	per := func(b []byte) []byte { return append([]byte{byte(0x80 | len(b)>>8), byte(len(b))}, b...) }
	gcc := append([]byte{0, 5, 0, 0x14, 0x7c, 0, 1}, per(append([]byte{0, 8, 0, 0x10, 0, 1, 0xc0, 0, 'D', 'u', 'c', 'a'}, per(data)...))...)
	parameters := func(v ...uint16) []byte {
		var b []byte
		for _, n := range v {
			b = append(b, 2, 2, byte(n>>8), byte(n))
		}
		return append([]byte{0x30, byte(len(b))}, b...)
	}
	body := []byte{4, 1, 1, 4, 1, 1, 1, 1, 0xff}
	body = append(body, parameters(34, 2, 0, 1, 0, 1, 0x7fff, 2)...)
	body = append(body, parameters(1, 1, 1, 1, 0, 1, 0x420, 2)...)
	body = append(body, parameters(0x7fff, 0x7c17, 0x7fff, 1, 0, 1, 0x7fff, 2)...)
	body = append(append(body, 4, 0x82, byte(len(gcc)>>8), byte(len(gcc))), gcc...)
	return append([]byte{0x7f, 0x65, 0x82, byte(len(body) >> 8), byte(len(body))}, body...)
}
