package sxs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/deskyard/deskyard/relay"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/socket"
)

// Dial is what the agent has the stack do for a client: connect the RDP server with a
// gateway. It is the stack's, so that sessions go on while the agent restarts or is
// updated.
type Dial struct {
	reverse.Leg
	// Connection and User are as the service's DialBack has them.
	Connection string `json:"connection,omitempty"`
	User       string `json:"user,omitempty"`

	URLs []string `json:"urls"` // of the gateway, most likely first
	Pin  string   `json:"pin"`
}

const (
	// legWithin bounds the dial: a client waits.
	legWithin = 15 * time.Second
	// maxLegs is well above what one machine's desktops can be.
	maxLegs = 1000
)

// legs are the connections between the RDP server and gateways.
type legs struct {
	log      *slog.Logger
	rdp      string // address of the RDP server
	parts    bool   // the RDP server takes its leave in TLS's words
	news     *news
	sessions relay.Sessions
	wg       sync.WaitGroup

	mu    sync.Mutex    // guards what follows
	pages map[int]*page // by the port from which the RDP server sees the leg
	ended []endedPage   // oldest first
}

// open connects both ends and returns; the bytes flow until either is closed.
func (l *legs) open(ctx context.Context, d Dial) error {
	if !reverse.LegID(d.ID) || len(d.URLs) == 0 {
		return &socket.Error{Status: http.StatusBadRequest, Message: "the leg has no id, or no address to dial"}
	}
	if l.sessions.Len() >= maxLegs {
		return fmt.Errorf("%d connections are open on this machine already", maxLegs)
	}
	ctx, cancel := context.WithTimeout(ctx, legWithin)
	defer cancel()
	var dialer net.Dialer
	host, err := dialer.DialContext(ctx, "tcp", l.rdp)
	if err != nil {
		return fmt.Errorf("the RDP server does not answer on %s: %w", l.rdp, err)
	}
	var tried []error
	for _, base := range d.URLs {
		gateway, err := reverse.DialLeg(ctx, base, d.Pin, d.Leg)
		if err != nil {
			tried = append(tried, fmt.Errorf("dial the gateway %s: %w", base, err))
			continue
		}
		l.news.opened(d.Connection)
		p := &page{connection: d.Connection, user: d.User, since: time.Now()}
		port := portOf(host)
		l.follow(port, p)
		l.wg.Go(func() {
			defer func() { l.left(port, p, time.Now()) }()
			server := &listened{Conn: host}
			end := l.sessions.Run(d.ID, gateway, server, 0)
			l.news.add(l.seen(d.Connection, server, end.Reason))
			l.log.Info("leg ended", "leg", d.ID, "gateway", base, "reason", end.Reason, "in", end.FromClient, "out", end.FromHost)
		})
		l.log.Info("leg opened", "leg", d.ID, "gateway", base)
		return nil
	}
	return errors.Join(append(tried, host.Close())...)
}

// portOf is the port of a connection's own end.
func portOf(c net.Conn) int {
	if a, ok := c.LocalAddr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// seen is what there is to tell of a leg that ended for a reason.
func (l *legs) seen(connection string, server *listened, reason string) reverse.Seen {
	fault := strings.HasPrefix(reason, "error: the host's") // it was reset
	if l.parts && (fault || reason == relay.HostClosed) && server.vanished() {
		return reverse.Seen{Connection: connection, What: reverse.SeenLost, Cause: reverse.CauseRDPServer}
	}
	return reverse.Seen{Connection: connection, What: SeenClosed}
}

// close ends every leg: the stack itself stops.
func (l *legs) close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // nothing is waited for
	l.sessions.Drain(ctx)
	l.wg.Wait()
}

// Dial connects the machine's RDP server with a gateway, and returns when it is.
func (c *Client) Dial(ctx context.Context, d Dial) error {
	return c.socket.Call(ctx, http.MethodPost, "/v1/legs", d, nil)
}
