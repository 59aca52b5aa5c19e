package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/monitor"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/socket"
	"github.com/deskyard/deskyard/sxs"
)

// maxLocal bounds an answer of a service on this host, in bytes.
const maxLocal = 1 << 20

var errNoStack = errors.New("this host has no sxs-stack component")

// StackStatus is what the sxs-stack component says.
type StackStatus struct {
	Version       string
	Listening     bool
	Listener      string // what was found, and what to do
	Encrypted     bool
	Encryption    string
	Certificate   string // SHA-256 of the listener's, in hexadecimal; "" while not known
	Sessions      []deskyard.UserSession
	SessionsKnown bool
	News          sxs.News // of connections
}

// MonitorSample is what the monitoring agent says.
type MonitorSample struct {
	Version string
	Metrics reverse.Metrics
}

// StackClient is the Stack of this machine.
type StackClient struct{ client *sxs.Client }

// NewStackClient makes a client of the stack's socket at path; "" is the usual one.
func NewStackClient(path string) StackClient { return StackClient{sxs.NewClient(path)} }

// Status implements Stack.
func (c StackClient) Status(ctx context.Context) (StackStatus, error) {
	s, err := c.client.State(ctx)
	if err != nil {
		return StackStatus{}, fmt.Errorf("ask the SxS network stack: %w", err)
	}
	st := StackStatus{
		Version: s.Version, Listening: s.Listener.Ready, Listener: s.Listener.Detail,
		Encrypted: s.Listener.Encryption != "rdp", Encryption: "The RDP server's security layer is " + s.Listener.Encryption + ".",
		Certificate: s.Listener.Certificate,
		Sessions:    s.Sessions, SessionsKnown: s.SessionsKnown, News: s.News,
	}
	switch {
	case s.Listener.Encryption == "":
		st.Encryption = "No RDP server is configured."
	case !st.Encrypted:
		st.Encryption = "The RDP server offers RDP's own security layer only. Set security_layer=tls in xrdp.ini and restart xrdp."
	}
	if st.Listening {
		st.Listener = "The RDP server answers on loopback."
	}
	return st, nil
}

// Dial implements Stack.
func (c StackClient) Dial(ctx context.Context, d sxs.Dial) error { return c.client.Dial(ctx, d) }

// Do implements Stack. A session that has ended is an *socket.Error with status 404.
func (c StackClient) Do(ctx context.Context, order deskyard.Command) error {
	switch order.Verb {
	case "disconnect":
		return c.client.Disconnect(ctx, order.Session)
	case "logoff":
		err := c.client.Logoff(ctx, order.Session)
		var gone *socket.Error
		if order.Force && errors.As(err, &gone) && gone.Status == http.StatusNotFound {
			return nil // what was asked for is the case
		}
		return err
	case "message":
		return c.client.Message(ctx, order.Session, order.Title, order.Body)
	}
	return fmt.Errorf("the SxS network stack does not know the command %q", order.Verb)
}

// MonitorClient is the Monitor of this machine.
type MonitorClient struct{ client *monitor.Client }

// NewMonitorClient makes a client of the monitoring agent's socket at path; "" is
// the usual one.
func NewMonitorClient(path string) MonitorClient { return MonitorClient{monitor.NewClient(path)} }

// Sample implements Monitor.
func (c MonitorClient) Sample(ctx context.Context) (MonitorSample, error) {
	m, err := c.client.Metrics(ctx)
	if err != nil {
		return MonitorSample{}, fmt.Errorf("ask the monitoring agent: %w", err)
	}
	return MonitorSample{Version: m.Version, Metrics: reverse.Metrics{
		CPUPercent: m.CPUPercent, Load1: m.Load1,
		MemoryTotal: m.MemoryTotal, MemoryUsed: m.MemoryTotal - m.MemoryFree,
		DiskTotal: m.DiskTotal, DiskUsed: m.DiskTotal - m.DiskFree,
	}}, nil
}

// Tell implements Monitor.
func (c MonitorClient) Tell(ctx context.Context, active, disconnected int, rtt time.Duration) error {
	return c.client.Tell(ctx, monitor.FromAgent{SessionsActive: active, SessionsDisconnected: disconnected, RoundTripSeconds: rtt.Seconds()})
}
