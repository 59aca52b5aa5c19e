package gateway

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/rdp"
	"github.com/deskyard/deskyard/relay"
)

// avdPath is where AVD's clients bring the connection that they were promised.
const avdPath = "/gateway/v1/avd"

// promise is a connection that a client of AVD's own request was promised: its ticket
// stays here.
type promise struct {
	ticket string
	key    rdp.RedirectionKey
	until  time.Time
}

// promises are those that were not taken yet.
type promises struct {
	mu   sync.Mutex // guards open
	open map[string]promise
}

const (
	promiseFor  = 30 * time.Second // as long as the ticket
	maxPromises = 10_000
)

// Promise keeps a connection's ticket for a client that speaks AVD's own protocol.
func (g *Gateway) Promise(ticket string) (rdp.Redirection, error) {
	identity, err := g.identity()
	if err != nil {
		return rdp.Redirection{}, err
	}
	p := promise{ticket: ticket, key: rdp.RedirectionKey{RSA: identity.PrivateKey.(*rsa.PrivateKey)}, until: time.Now().Add(promiseFor)}
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	_, _ = rand.Read(p.key.AES[:])
	id := hex.EncodeToString(raw[:])
	if !g.promised.keep(id, p) {
		return rdp.Redirection{}, errors.New("promise a connection: too many clients are connecting")
	}
	guid := "{" + id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:] + "}"
	return rdp.Redirection{
		Path: avdPath + "?" + url.Values{"id": {id}}.Encode(), ID: guid, AuthBlob: p.key.Blob(),
		Certificate: rdp.TargetCertificate(identity.Certificate[0]),
	}, nil
}

func (p *promises) keep(id string, x promise) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		p.open = map[string]promise{}
	}
	if len(p.open) >= maxPromises {
		for k, old := range p.open {
			if time.Now().After(old.until) {
				delete(p.open, k)
			}
		}
	}
	if len(p.open) >= maxPromises {
		return false
	}
	p.open[id] = x
	return true
}

// find looks whether there is such a promise; take ends it.
func (p *promises) find(id string, take bool) (promise, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x, ok := p.open[id]
	if take {
		delete(p.open, id)
	}
	return x, ok && time.Now().Before(x.until)
}

// newIdentity makes the certificate under which the gateway stands for session hosts to
// AVD's clients. It is told to each with its connection, so nobody need trust it; RSA,
// because they encrypt with it.
func newIdentity() (*tls.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make the gateway's RDSTLS key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Deskyard gateway"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the gateway's RDSTLS certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// avd takes what was promised. Clients first ask without an upgrade, for a cookie that
// keeps them on one gateway.
func (g *Gateway) avd(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		if _, ok := g.promised.find(id, false); !ok {
			http.Error(w, "No connection was promised under this id, or it was too long ago. Connect again.", http.StatusNotFound)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "ARRAffinity", Value: g.o.Name, Path: "/", Secure: true, HttpOnly: true})
		w.WriteHeader(http.StatusOK)
		return
	}
	guest, err := g.enter(r)
	if err != nil { // before the promise is taken: the client may try again
		g.turnAway(w, deskyard.DoorAVD, err)
		return
	}
	defer guest.leave()
	p, ok := g.promised.find(id, true)
	if !ok {
		http.Error(w, "No connection was promised under this id, or it was too long ago. Connect again.", http.StatusNotFound)
		return
	}
	guest.shows() // a ticket, in effect: nobody guesses an id
	ws, err := relay.Upgrade(w, r)
	if err != nil {
		g.log.Info("AVD client refused", "client", r.RemoteAddr, "err", err)
		return
	}
	guest.holds(ws)
	o, front, host, err := g.front(r, ws, p)
	if err != nil {
		g.log.Info("AVD client not connected", "client", r.RemoteAddr, "err", err)
		_ = ws.Close() // it was told why, where it could be
		return
	}
	g.begin(o, front, listen(host))
}

// stream is a WebSocket as TLS wants its connections.
type stream struct{ *relay.WebSocket }

func (s stream) LocalAddr() net.Addr                { return s.NetConn().LocalAddr() }
func (s stream) RemoteAddr() net.Addr               { return s.NetConn().RemoteAddr() }
func (s stream) SetReadDeadline(t time.Time) error  { return s.NetConn().SetReadDeadline(t) }
func (s stream) SetWriteDeadline(t time.Time) error { return s.NetConn().SetWriteDeadline(t) }

// fronted is a client behind the gateway's own TLS.
type fronted struct {
	*tls.Conn
	in inTurn
}

func (f *fronted) Read(b []byte) (int, error) { return f.in.Read(b) }

// front stands for the host to an AVD client: RDSTLS, which no host speaks by itself.
func (g *Gateway) front(r *http.Request, ws *relay.WebSocket, p promise) (o *opened, client *fronted, host *tls.Conn, err error) {
	if err := ws.SetDeadline(time.Now().Add(openWithin)); err != nil {
		return nil, nil, nil, err
	}
	inner, q, err := g.rdstls(r.Context(), ws)
	if err != nil {
		return nil, nil, nil, err
	}
	answer := func(result uint32) error {
		_, err := inner.Write(rdp.RDSTLSResponse(q.Version, result))
		return err
	}
	fix := rdp.Fix{Protocol: new(uint32)}
	*fix.Protocol = rdp.ProtocolTLS
	if q.Token == "" {
		password, err := p.key.Password(q.Password)
		if err != nil {
			return nil, nil, nil, errors.Join(err, answer(rdp.RDSTLSLogonFailure))
		}
		fix.Credentials = &rdp.Credentials{Domain: q.Domain, User: q.User, Password: password}
	}
	if o, err = g.open(r.Context(), deskyard.DoorAVD, p.ticket, g.clientOf(r)); err != nil {
		return nil, nil, nil, errors.Join(err, answer(rdp.RDSTLSAccessDenied))
	}
	fail := func(err error) (*opened, *fronted, *tls.Conn, error) {
		g.giveUp(o, "error: "+err.Error())
		return nil, nil, nil, errors.Join(err, answer(rdp.RDSTLSAccessDenied))
	}
	if host, err = g.behind(r.Context(), o); err != nil {
		return fail(err)
	}
	if o.SignOn != nil {
		fix.Credentials = &rdp.Credentials{User: o.SignOn.Account, Password: o.SignOn.Password}
	}
	fix.Shell = o.Application
	if err := answer(rdp.RDSTLSSuccess); err != nil {
		return fail(err)
	}
	if err := ws.SetDeadline(time.Time{}); err != nil {
		return fail(err)
	}
	return o, &fronted{inner, inTurn{rdp.NewFixer(inner, fix), inner}}, host, nil
}

// rdstls negotiates with the client and reads what it proves itself by.
func (g *Gateway) rdstls(ctx context.Context, ws *relay.WebSocket) (*tls.Conn, rdp.RDSTLSRequest, error) {
	var none rdp.RDSTLSRequest
	first, err := rdp.ReadTPKT(ws, rdp.MaxNegotiation)
	if err != nil {
		return nil, none, err
	}
	q, err := rdp.ParseRequest(first)
	if err != nil {
		return nil, none, err
	}
	if q.Protocols&rdp.ProtocolRDSTLS == 0 {
		_, err := ws.Write(rdp.Confirm{Failure: 1}.Bytes()) // SSL_REQUIRED_BY_SERVER: the nearest there is
		return nil, none, errors.Join(errors.New("the client does not speak RDSTLS"), err)
	}
	if _, err := ws.Write(rdp.Confirm{Protocol: rdp.ProtocolRDSTLS}.Bytes()); err != nil {
		return nil, none, err
	}
	identity, err := g.identity()
	if err != nil {
		return nil, none, err
	}
	inner := tls.Server(stream{ws}, &tls.Config{Certificates: []tls.Certificate{*identity}, MinVersion: tls.VersionTLS12})
	if err := inner.HandshakeContext(ctx); err != nil {
		return nil, none, fmt.Errorf("speak TLS with the client: %w", err)
	}
	if _, err := inner.Write(rdp.RDSTLSCapabilities()); err != nil {
		return nil, none, err
	}
	request, err := rdp.ReadRDSTLSRequest(inner)
	return inner, request, err
}

// behind speaks TLS with the host, pinned.
func (g *Gateway) behind(ctx context.Context, o *opened) (*tls.Conn, error) {
	if o.Certificate == [32]byte{} {
		return nil, fmt.Errorf("host %s has not told the certificate of its RDP listener; update its components", o.HostName)
	}
	began := time.Now()
	_, c, err := negotiate(o.leg, rdp.CleanPathRequest{X224: rdp.Request{Protocols: rdp.ProtocolTLS}.Bytes()})
	if err != nil {
		return nil, fmt.Errorf("negotiate with %s: %w", o.HostName, err)
	}
	if c.Protocol != rdp.ProtocolTLS {
		return nil, fmt.Errorf("negotiate with %s: it selected protocol %d; only TLS can stand behind RDSTLS", o.HostName, c.Protocol)
	}
	host, err := o.secure(ctx)
	o.stage("negotiate", began)
	return host, err
}
