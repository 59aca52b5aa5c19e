package gateway

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/proxy"
	"github.com/deskyard/deskyard/relay"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/tsgu"
)

// Options make a Gateway. Brokerage, Name and URLs are required.
type Options struct {
	Brokerage deskyard.Brokerage
	Name      string   // in records of connections
	URLs      []string // base URLs by which session hosts reach it, most likely first
	// Origins are those whose pages may open desktops; the one that a request came by
	// always may.
	Origins []string

	// ClientAddress is where a request comes from; nil: its peer. It says otherwise where
	// the operator has reverse proxies.
	ClientAddress func(*http.Request) netip.Addr

	Registry prometheus.Registerer // nil: nothing is counted
	Log      *slog.Logger          // nil: slog.Default()
}

// Gateway relays sessions. Make it with New, and Close it after the HTTP server has
// stopped taking requests.
type Gateway struct {
	o        Options
	log      *slog.Logger
	count    *counts
	held     held
	legs     relay.Rendezvous
	sessions relay.Sessions
	lobby    lobby
	rdg      tsgu.Door
	promised promises
	identity func() (*tls.Certificate, error) // made at its first use

	ctx    context.Context // ends when Close has given up on telling ends
	cancel context.CancelFunc
	doors  context.Context // ends when nobody is let through any more
	shut   context.CancelFunc
	wg     sync.WaitGroup // tellers
}

// Times and bounds of a connection before its session runs.
const (
	greetWithin = 10 * time.Second // from the handshake to the ticket
	openWithin  = 40 * time.Second // from the ticket to the first bytes of the host
)

// New makes a Gateway.
func New(o Options) (*Gateway, error) {
	if o.Brokerage == nil || o.Name == "" || len(o.URLs) == 0 {
		return nil, errors.New("open the gateway: Brokerage, Name and URLs are required")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.ClientAddress == nil {
		o.ClientAddress = proxy.Trusted(nil).Client
	}
	g := &Gateway{o: o, log: o.Log}
	g.count = newCounts(o.Registry, g.sessions.Len)
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.doors, g.shut = context.WithCancel(g.ctx)
	g.identity = sync.OnceValues(newIdentity)
	g.rdg = tsgu.Door{Frames: frames, Serve: g.serveRDG, Enter: g.enterRDG, Log: o.Log}
	return g, nil
}

// Owns reports whether a path is one of the gateway's.
func Owns(path string) bool {
	return strings.HasPrefix(path, reverse.LegPath) || strings.HasPrefix(path, "/gateway/v1/") ||
		len(path) >= len(tsgu.Path) && strings.EqualFold(path[:len(tsgu.Path)], tsgu.Path)
}

// Handler answers the paths of Owns.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+reverse.LegPath+"{leg}", g.leg)
	mux.HandleFunc("GET /gateway/v1/rdp", g.web)
	mux.HandleFunc("GET "+avdPath, g.avd)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) >= len(tsgu.Path) && strings.EqualFold(r.URL.Path[:len(tsgu.Path)], tsgu.Path) {
			g.rdg.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// Sessions is how many sessions are relayed.
func (g *Gateway) Sessions() int { return g.sessions.Len() }

// Disconnect ends the relay of a connection; false where it is not here.
func (g *Gateway) Disconnect(connection, reason string) bool {
	return g.sessions.Stop(connection, reason)
}

// Close lets sessions run until ctx ends, ends the rest, and tells the service of all
// ends, for some seconds more.
func (g *Gateway) Close(ctx context.Context) {
	g.sessions.Drain(ctx)
	g.shut() // what is being opened would run no more
	g.lobby.close()
	told := make(chan struct{})
	go func() { // ends with the last teller, which cancel ends
		g.wg.Wait()
		close(told)
	}()
	last := time.NewTimer(5 * time.Second)
	defer last.Stop()
	select {
	case <-told:
	case <-last.C:
	}
	g.cancel()
	<-told
}

// opened is a client that was let through and the host's leg for it.
type opened struct {
	deskyard.Admission
	leg    net.Conn
	door   string
	begun  time.Time
	stages []deskyard.ConnectionStage
}

// stage notes how long a step took.
func (o *opened) stage(name string, since time.Time) {
	o.stages = append(o.stages, deskyard.ConnectionStage{Name: name, Took: time.Since(since)})
}

// open redeems a ticket and has the host dial. The error is a *deskyard.ConnectionFailure
// where the client can be told why. What was opened must be closed by run or giveUp.
func (g *Gateway) open(ctx context.Context, door, ticket string, client deskyard.ClientInfo) (*opened, error) {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	leg := hex.EncodeToString(raw[:])
	seat := g.legs.Expect(leg)
	defer seat.Leave()
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	defer context.AfterFunc(g.doors, cancel)()
	o := &opened{door: door, begun: time.Now()}
	a, err := g.o.Brokerage.Admit(ctx, deskyard.AdmitRequest{Ticket: ticket, Door: door, Client: client, Leg: leg, Gateway: g.o.Name, URLs: g.o.URLs})
	if err != nil {
		g.count.refused(door, err)
		return nil, err
	}
	o.Admission = a
	arrival, err := seat.Wait(ctx)
	if err != nil {
		g.giveUp(o, "error: the host's connection did not come")
		return nil, fmt.Errorf("wait for the leg of %s: %w", a.HostName, err)
	}
	o.leg = arrival.Conn
	if arrival.Host != a.HostID || len(a.HostKey) != ed25519.PublicKeySize || !ed25519.Verify(a.HostKey, reverse.LegProof(a.HostID, leg), arrival.Proof) {
		g.giveUp(o, "error: the connection was not signed by the host's key")
		g.log.Warn("leg refused: not signed by the host", "connection", a.Connection, "host", a.HostName, "said", arrival.Host)
		return nil, fmt.Errorf("check the leg of %s: it was not signed by the host's key", a.HostName)
	}
	o.stage("reverse-connect", o.begun)
	return o, nil
}

// enter lets a client into the lobby.
func (g *Gateway) enter(r *http.Request) (*guest, error) {
	return g.lobby.enter(proxy.Neighbourhood(g.o.ClientAddress(r)).String())
}
