package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/rdp"
	"github.com/deskyard/deskyard/relay"
)

// web is the door of the web client: RDCleanPath on a WebSocket.
func (g *Gateway) web(w http.ResponseWriter, r *http.Request) {
	if !g.mayOpen(r) {
		http.Error(w, "Pages of this origin may not open desktops here. Open the web client at the address of the service.", http.StatusForbidden)
		return
	}
	guest, err := g.enter(r)
	if err != nil {
		g.turnAway(w, deskyard.DoorWeb, err)
		return
	}
	defer guest.leave()
	ws, err := relay.Upgrade(w, r)
	if err != nil {
		g.log.Info("web client refused", "client", r.RemoteAddr, "err", err)
		return
	}
	guest.holds(ws)
	o, host, first, err := g.greet(r, ws, guest)
	if err != nil {
		g.log.Info("web client not connected", "client", r.RemoteAddr, "err", err)
		_ = ws.Close() // it was told why, where it could be
		return
	}
	g.begin(o, &client{ws, inTurn{first, ws}}, listen(host))
}

// turnAway tells a client that there is no room for it.
func (g *Gateway) turnAway(w http.ResponseWriter, door string, why error) {
	g.count.refused(door, why)
	w.Header().Set("Retry-After", "5")
	http.Error(w, why.Error(), http.StatusServiceUnavailable)
}

// mayOpen refuses pages of other sites, which could not have a ticket but could try.
func (g *Gateway) mayOpen(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true // no browser
	}
	u, err := url.Parse(origin)
	return err == nil && (strings.EqualFold(u.Host, r.Host) || slices.ContainsFunc(g.o.Origins, func(o string) bool { return strings.EqualFold(o, origin) }))
}

// client is the web client's stream.
type client struct {
	*relay.WebSocket
	in inTurn
}

func (c *client) Read(b []byte) (int, error) { return c.in.Read(b) }

// Pending is false as long as packets are corrected.
func (c *client) Pending() bool { return c.in.first == nil && c.WebSocket.Pending() }

// Drains is false as long as packets are corrected, which are read whole.
func (c *client) Drains() bool { return c.in.first == nil }

// inTurn reads first to its end, if there is one, and then rest.
type inTurn struct{ first, rest io.Reader }

func (t *inTurn) Read(b []byte) (int, error) {
	if t.first != nil {
		n, err := t.first.Read(b)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		t.first = nil
		if n > 0 {
			return n, nil
		}
	}
	return t.rest.Read(b)
}

// greet takes the client from its first message to where RDP begins; first is what it
// sends until then is over. On an error the client was told.
func (g *Gateway) greet(r *http.Request, ws *relay.WebSocket, guest *guest) (o *opened, host *tls.Conn, first io.Reader, err error) {
	if err := ws.SetDeadline(time.Now().Add(greetWithin)); err != nil {
		return nil, nil, nil, err
	}
	q, err := rdp.ReadCleanPath(ws)
	if err != nil {
		return nil, nil, nil, g.say(ws, rdp.CleanPathError{Code: rdp.CleanPathGeneral, HTTP: http.StatusBadRequest}, nil, err)
	}
	if err := ws.SetDeadline(time.Now().Add(openWithin)); err != nil {
		return nil, nil, nil, err
	}
	guest.shows()
	o, err = g.open(r.Context(), deskyard.DoorWeb, q.Ticket, g.clientOf(r))
	if err != nil {
		return nil, nil, nil, g.say(ws, webError(err), nil, err)
	}
	host, first, err = g.negotiate(r.Context(), o, q, keyboardOf(r), ws)
	if err != nil {
		g.giveUp(o, "error: "+err.Error())
		return nil, nil, nil, err
	}
	if err := ws.SetDeadline(time.Time{}); err != nil {
		g.giveUp(o, "error: "+err.Error())
		return nil, nil, nil, err
	}
	return o, host, first, nil
}

// keyboardOf is the layout that a client names in its address, as ?keyboard=0407; 0 where
// it names none. What is no layout is left to the host, which knows its own.
func keyboardOf(r *http.Request) uint32 {
	layout, err := strconv.ParseUint(r.URL.Query().Get("keyboard"), 16, 32)
	if err != nil {
		return 0
	}
	return uint32(layout)
}

// negotiate speaks the client's connection request to the host, and TLS.
func (g *Gateway) negotiate(ctx context.Context, o *opened, q rdp.CleanPathRequest, keyboard uint32, ws *relay.WebSocket) (*tls.Conn, io.Reader, error) {
	began := time.Now()
	if o.Certificate == [32]byte{} {
		err := fmt.Errorf("host %s has not told the certificate of its RDP listener; update its components", o.HostName)
		return nil, nil, g.say(ws, rdp.CleanPathError{Code: rdp.CleanPathGeneral, HTTP: http.StatusBadGateway}, nil, err)
	}
	confirm, selected, err := negotiate(o.leg, q)
	if err != nil {
		code := rdp.CleanPathError{Code: rdp.CleanPathGeneral, HTTP: http.StatusBadGateway}
		if selected.Failure != 0 {
			code = rdp.CleanPathError{Code: rdp.CleanPathNegotiation}
		} else {
			confirm = nil
		}
		return nil, nil, g.say(ws, code, confirm, fmt.Errorf("negotiate with %s: %w", o.HostName, err))
	}
	host, err := o.secure(ctx)
	if err != nil {
		return nil, nil, g.say(ws, rdp.CleanPathError{Code: rdp.CleanPathGeneral, HTTP: http.StatusBadGateway}, nil, err)
	}
	o.stage("negotiate", began)
	var chain [][]byte
	for _, c := range host.ConnectionState().PeerCertificates {
		chain = append(chain, c.Raw)
	}
	answer, err := rdp.CleanPathSuccess(confirm, chain, o.HostName)
	if err != nil {
		return nil, nil, fmt.Errorf("answer the client: %w", err)
	}
	if _, err := ws.Write(answer); err != nil {
		return nil, nil, fmt.Errorf("answer the client: %w", err)
	}
	if selected.Protocol != rdp.ProtocolTLS {
		return host, nil, nil // CredSSP: the credentials are inside, and the client's
	}
	return host, corrected(ws, o, keyboard), nil
}

// corrected is what the client sends while it connects, with what the gateway knows
// better: the credential that works once, the application that was asked for.
func corrected(ws *relay.WebSocket, o *opened, keyboard uint32) io.Reader {
	fix := rdp.Fix{Colours: true, Keyboard: keyboard, Shell: o.Application}
	if o.SignOn != nil {
		fix.Credentials = &rdp.Credentials{User: o.SignOn.Account, Password: o.SignOn.Password}
	}
	return rdp.NewFixer(ws, fix)
}

// negotiate sends the connection request and reads the host's answer, a TPKT.
func negotiate(leg net.Conn, q rdp.CleanPathRequest) (confirm []byte, c rdp.Confirm, err error) {
	if err := leg.SetDeadline(time.Now().Add(openWithin)); err != nil {
		return nil, c, err
	}
	if _, err := leg.Write(append([]byte(q.Blob), q.X224...)); err != nil {
		return nil, c, err
	}
	if confirm, err = rdp.ReadTPKT(leg, rdp.MaxNegotiation); err != nil {
		return nil, c, err
	}
	c, err = rdp.ParseConfirm(confirm)
	switch {
	case err != nil:
		return nil, c, err
	case c.Failure != 0:
		return confirm, c, fmt.Errorf("it refuses (%d)", c.Failure)
	case c.Protocol == rdp.ProtocolRDP:
		return nil, c, errors.New("it offers RDP's own security only; its security layer must be TLS")
	}
	return confirm, c, nil
}

// secure speaks TLS with the host on its leg, where the negotiation has chosen it.
func (o *opened) secure(ctx context.Context) (*tls.Conn, error) {
	host := tls.Client(relay.NewRecords(o.leg), pinned(o.Certificate))
	if err := host.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("speak TLS with %s: %w", o.HostName, err)
	}
	return host, o.leg.SetDeadline(time.Time{})
}

// pinned is TLS with whoever has that certificate, and nobody else.
func pinned(certificate [32]byte) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // the pin below is stricter than any chain
		MinVersion:         tls.VersionTLS12,
		VerifyConnection: func(s tls.ConnectionState) error {
			got := sha256.Sum256(s.PeerCertificates[0].Raw)
			if subtle.ConstantTimeCompare(got[:], certificate[:]) != 1 {
				return errors.New("the RDP listener's certificate is not the one that the host reported")
			}
			return nil
		},
	}
}

// say tells the client why there is no connection, and gives err back.
func (g *Gateway) say(ws *relay.WebSocket, e rdp.CleanPathError, confirm []byte, err error) error {
	b, failed := rdp.CleanPathFailure(e, confirm)
	if failed == nil {
		_, failed = ws.Write(b)
	}
	return errors.Join(err, failed)
}

// webError is what the web client shows until it has asked for the connection's record.
func webError(err error) rdp.CleanPathError {
	var f *deskyard.ConnectionFailure
	e := rdp.CleanPathError{Code: rdp.CleanPathGeneral, HTTP: http.StatusBadGateway}
	if !errors.As(err, &f) {
		return e
	}
	switch kindOf(f) {
	case badTicket:
		e.HTTP = http.StatusUnauthorized
	case notAllowed:
		e.HTTP = http.StatusForbidden
	case noWay:
		e.HTTP, e.Socket = 0, 10060 // WSAETIMEDOUT
	default:
		e.HTTP = http.StatusServiceUnavailable
	}
	return e
}

func (g *Gateway) clientOf(r *http.Request) deskyard.ClientInfo {
	address := ""
	if a := g.o.ClientAddress(r); a.IsValid() { // it is told, never relied on
		address = a.String()
	}
	agent := r.UserAgent()
	return deskyard.ClientInfo{Type: strings.ToValidUTF8(agent[:min(len(agent), 256)], ""), Address: address}
}
