package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/reverse"
)

// peer is one simulated agent: how it opens its link, what its heartbeat is, and
// how it reads until one is answered.
type peer interface {
	open(conn *tls.Conn) error
	beat() ([]byte, error)
	answered(conn net.Conn) error // reads up to the next answer to a heartbeat
}

// echoPeer is an agent of the bare loop.
type echoPeer struct{}

func (echoPeer) open(*tls.Conn) error  { return nil }
func (echoPeer) beat() ([]byte, error) { return make([]byte, beatSize), nil }
func (echoPeer) answered(conn net.Conn) error {
	var b [answerSize]byte
	_, err := io.ReadFull(conn, b[:])
	return err
}

// hostPeer is an agent of the service: the real protocol, a machine that exists
// only on paper.
type hostPeer struct {
	host    string
	key     ed25519.PrivateKey
	machine deskyard.Machine
	epoch   atomic.Value // string
}

func newHostPeer(i int, seed []byte) *hostPeer {
	p := &hostPeer{host: hostObjectID(i), key: hostKey(i, seed), machine: hostMachine(i)}
	p.epoch.Store("")
	return p
}

func (p *hostPeer) open(conn *tls.Conn) error {
	u := &url.URL{Scheme: "wss", Host: conn.RemoteAddr().String(), Path: reverse.LinkPath}
	buffered, _, err := ws.Dialer{}.Upgrade(conn, u)
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	var in io.Reader = conn
	if buffered != nil {
		in = buffered
	}
	var hello reverse.Hello
	if err := expectMessage(in, reverse.TypeHello, &hello); err != nil {
		return err
	}
	if buffered != nil && buffered.Buffered() > 0 {
		return errors.New("open link: the service sent more than hello before auth")
	}
	about, err := json.Marshal(p.machine)
	if err != nil {
		return fmt.Errorf("encode a machine: %w", err)
	}
	epoch := p.epoch.Load().(string)
	auth := reverse.Auth{Version: reverse.Version, HostID: p.host, Epoch: epoch, Machine: about,
		Signature: ed25519.Sign(p.key, reverse.LinkProof(p.host, hello.Nonce, epoch, about))}
	if err := sendMessage(conn, reverse.TypeAuth, auth); err != nil {
		return err
	}
	var welcome reverse.Welcome
	if err := expectMessage(conn, reverse.TypeWelcome, &welcome); err != nil {
		return err
	}
	p.epoch.Store(welcome.NextEpoch)
	if err := sendMessage(conn, reverse.TypeConfirm, reverse.Confirm{Epoch: welcome.NextEpoch}); err != nil {
		return err
	}
	return sendMessage(conn, reverse.TypeReport, hostReport())
}

func (p *hostPeer) beat() ([]byte, error) { return clientFrame(ws.OpPing, reverse.Beat(1500)) }

func (p *hostPeer) answered(conn net.Conn) error {
	for {
		op, _, err := serverFrame(conn)
		if err != nil || op == ws.OpPong {
			return err
		}
	}
}

func expectMessage(r io.Reader, kind string, body any) error {
	_, payload, err := serverFrame(r)
	if err != nil {
		return err
	}
	m, err := reverse.Decode(payload, reverse.MaxFromService)
	if err != nil {
		return err
	}
	if m.Type != kind {
		return fmt.Errorf("open link: the service sent %s where %s belongs: %.300s", m.Type, kind, m.Body)
	}
	return m.Into(body)
}

func sendMessage(w io.Writer, kind string, body any) error {
	b, err := reverse.Encode(kind, "", body)
	if err != nil {
		return err
	}
	f, err := clientFrame(ws.OpText, b)
	if err != nil {
		return err
	}
	_, err = w.Write(f)
	return err
}

func clientFrame(op ws.OpCode, payload []byte) ([]byte, error) {
	var mask [4]byte
	rand.Read(mask[:])
	return ws.CompileFrame(ws.MaskFrameInPlaceWith(ws.NewFrame(op, true, append([]byte(nil), payload...)), mask))
}

func serverFrame(r io.Reader) (ws.OpCode, []byte, error) {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return 0, nil, err
	}
	if h.Length > reverse.MaxFromService {
		return 0, nil, fmt.Errorf("read a frame of %d bytes", h.Length)
	}
	payload := make([]byte, h.Length)
	_, err = io.ReadFull(r, payload)
	if err == nil && h.OpCode == ws.OpClose {
		err = io.EOF
	}
	return h.OpCode, payload, err
}

// hostObjectID, hostKey, hostMachine and hostReport describe the host number i.
func hostObjectID(i int) string { return fmt.Sprintf("0be2c000-0000-4000-8000-%012d", i) }

func hostName(i int) string { return fmt.Sprintf("bench-%05d", i) }

// hostKey derives a host's key from the run's seed, so that the processes of a run
// need share no list.
func hostKey(i int, seed []byte) ed25519.PrivateKey {
	own := append(append([]byte(nil), seed[:24]...), fmt.Sprintf("%08d", i)...)
	return ed25519.NewKeyFromSeed(own)
}

func hostMachine(i int) deskyard.Machine {
	return deskyard.Machine{
		Hostname: hostName(i), MachineID: fmt.Sprintf("%032x", i+1), SMBIOSID: fmt.Sprintf("5b105000-0000-4000-8000-%012d", i),
		OS: "linux", Arch: "amd64", OSVersion: "Debian GNU/Linux 12 (bookworm)",
	}
}

// hostReport is a healthy host's.
func hostReport() deskyard.HostReport {
	at := time.Now().UTC()
	r := deskyard.HostReport{At: at, AgentVersion: "1.0.0", SxSVersion: "1.0.0", OSVersion: "12", SessionsKnown: true}
	for _, name := range []string{deskyard.CheckDomainJoined, deskyard.CheckSxSListener, deskyard.CheckURLs, deskyard.CheckMonitoring, deskyard.CheckEncryption} {
		r.Checks = append(r.Checks, deskyard.HealthCheck{Name: name, Result: deskyard.CheckSucceeded, At: at})
	}
	for _, name := range []string{"agent", "bootloader", "sxs-stack", "monitoring-agent"} {
		r.Components = append(r.Components, deskyard.Component{Name: name, Version: "1.0.0", Kept: []string{"1.0.0"}, State: "Running"})
	}
	return r
}
