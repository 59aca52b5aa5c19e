package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/relay"
	"github.com/deskyard/deskyard/tsgu"
)

// frames makes the stream of an RD Gateway client's WebSocket.
func frames(conn net.Conn, in *bufio.Reader) tsgu.Stream {
	return relay.NewWebSocket(conn, relay.Released(conn, in))
}

// admission is the gate of one RD Gateway client: it opens the host when the client shows
// its ticket, and keeps it for the channel.
type admission struct {
	g      *Gateway
	r      *http.Request
	guest  *guest
	stream tsgu.Stream
	opened *opened
}

// Open implements tsgu.Gate.
func (a *admission) Open(ctx context.Context, q tsgu.Request) (tsgu.Grant, error) {
	ticket := q.Cookie
	if q.Bearer || ticket == "" {
		ticket, _ = strings.CutPrefix(a.r.Header.Get("Authorization"), "Bearer ")
	}
	a.guest.shows()
	if err := a.g.unhurried(a.stream); err != nil {
		return tsgu.Grant{}, err
	}
	o, err := a.g.open(ctx, deskyard.DoorRDG, ticket, a.g.clientOf(a.r))
	if err != nil {
		refusal := &tsgu.Refusal{Code: rdgCode(err), Err: err}
		var f *deskyard.ConnectionFailure
		if errors.As(err, &f) {
			refusal.Message = f.Message
		}
		return tsgu.Grant{}, errors.Join(refusal, a.stream.SetDeadline(time.Now().Add(tellWithin)))
	}
	a.opened = o
	d := o.Redirect
	return tsgu.Grant{Redirect: tsgu.Redirection{Clipboard: d.Clipboard, Drives: d.Drives, Printers: d.Printers, Ports: d.Ports, PnP: d.PnP}, Idle: o.Idle}, nil
}

// tellWithin is how long a client that is refused may take to hear why: four round trips.
const tellWithin = 5 * time.Second

func rdgCode(err error) uint32 {
	var f *deskyard.ConnectionFailure
	if !errors.As(err, &f) {
		return tsgu.CodeInternal
	}
	switch kindOf(f) {
	case badTicket:
		return tsgu.CodeBadCookie
	case notAllowed:
		return tsgu.CodeAccessDenied
	}
	return tsgu.CodeConnect
}

// unhurried gives a client that has shown its ticket the time that its host may need.
func (g *Gateway) unhurried(s tsgu.Stream) error {
	return s.SetDeadline(time.Now().Add(greetWithin + openWithin))
}

// enterRDG lets one half of a client's connection wait for the other.
func (g *Gateway) enterRDG(r *http.Request, conn io.Closer) (leave func(), err error) {
	guest, err := g.enter(r)
	if err != nil {
		g.count.refused(deskyard.DoorRDG, err)
		return nil, err
	}
	guest.holds(conn)
	return guest.leave, nil
}

// serveRDG has an RD Gateway client's stream: a WebSocket also when it has returned.
func (g *Gateway) serveRDG(ctx context.Context, s tsgu.Stream, r *http.Request) {
	guest, err := g.enter(r)
	if err != nil {
		g.count.refused(deskyard.DoorRDG, err)
		_ = s.Close() // the protocol has no word for it before the ticket
		return
	}
	defer guest.leave()
	guest.holds(s)
	a := &admission{g: g, r: r, guest: guest, stream: s}
	channel, err := g.acceptRDG(ctx, s, a)
	if err != nil {
		g.log.Info("native client not connected", "client", r.RemoteAddr, "err", err)
		if a.opened != nil {
			g.giveUp(a.opened, "error: "+err.Error())
		}
		_ = s.Close() // it was told why, where it could be
		return
	}
	client := &native{Channel: channel, stream: s}
	if _, ok := s.(*relay.WebSocket); ok {
		g.begin(a.opened, client, a.opened.leg)
		return
	}
	guest.leave()
	g.run(a.opened, client, a.opened.leg) // the door closes a pair of connections when it is served
}

func (g *Gateway) acceptRDG(ctx context.Context, s tsgu.Stream, a *admission) (*tsgu.Channel, error) {
	if err := s.SetDeadline(time.Now().Add(greetWithin)); err != nil {
		return nil, err
	}
	channel, err := tsgu.Accept(ctx, s, a)
	if err != nil {
		return nil, err
	}
	return channel, s.SetDeadline(time.Time{})
}

// native is an RD Gateway client as one side of a session.
type native struct {
	*tsgu.Channel
	stream tsgu.Stream
}

// Pending reports whether more of a packet has arrived.
func (n *native) Pending() bool { return n.Buffered() > 0 }

// Drains is true: what has arrived of a packet's head stays until the rest of it has.
func (n *native) Drains() bool { return true }

// NetConn is the connection below, where there is one.
func (n *native) NetConn() net.Conn {
	if b, ok := n.stream.(interface{ NetConn() net.Conn }); ok {
		return b.NetConn()
	}
	return nil
}

// Close tells the client that the channel is over, and ends its stream.
func (n *native) Close() error {
	err := n.stream.SetDeadline(time.Now().Add(time.Second)) // one that does not read is not waited for
	if err == nil {
		err = n.CloseWrite()
	}
	return errors.Join(err, n.stream.Close())
}
