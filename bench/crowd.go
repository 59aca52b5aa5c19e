package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/reverse"
)

// agentsRole simulates many agents in one process. It answers each line of its
// standard input with one line of JSON that says how it stands.
type agentsRole struct {
	Address string `required:""`
	CA      string `required:""`
	First   int    `help:"Number of the first host; every second one from there on is simulated."`
	Count   int    `required:""`
	Bare    bool   `help:"Agents of the bare loop."`
	Seed    string `help:"Of the hosts' keys, in hexadecimal; as SEED in the environment." env:"SEED"`
}

// standing is an answer of agentsRole.
type standing struct {
	Links  int64  `json:"links"`
	Beats  int64  `json:"beats"`  // answered so far
	LastUp int64  `json:"lastUp"` // when the newest link came up, Unix nanoseconds
	Failed int64  `json:"failed"` // attempts that came to nothing
	Last   string `json:"last"`   // why the last one did
}

// maxDialling is how many links an agents' process opens at one time, and beatSlots
// into how many parts it spreads the heartbeats of one interval.
const (
	maxDialling = 256
	beatSlots   = 100
)

// crowd is the state of agentsRole.
type crowd struct {
	role    *agentsRole
	config  *tls.Config
	dialing chan struct{}
	conns   []atomic.Pointer[tls.Conn]
	peers   []peer

	links, beats, lastUp, failed atomic.Int64
	last                         atomic.Value // string
}

// Run simulates until its standard input ends.
func (a *agentsRole) Run(ctx context.Context) error {
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(a.CA)
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("read the CA %s: %w", a.CA, err)
	}
	seed, err := hex.DecodeString(a.Seed)
	if err != nil || !a.Bare && len(seed) < 24 {
		return errors.New("SEED must hold 24 bytes in hexadecimal")
	}
	c := &crowd{role: a, dialing: make(chan struct{}, maxDialling), conns: make([]atomic.Pointer[tls.Conn], a.Count)}
	c.config = &tls.Config{RootCAs: roots, ServerName: reverse.ServerName, NextProtos: []string{reverse.ALPN, "http/1.1"}}
	if a.Bare {
		c.config.NextProtos = nil
	}
	c.last.Store("")
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i := range a.Count {
		var p peer = echoPeer{}
		if !a.Bare {
			p = newHostPeer(a.First+2*i, seed)
		}
		c.peers = append(c.peers, p)
		all.Go(func() { c.live(ctx, i, p) })
	}
	all.Go(func() { c.beatAll(ctx) })
	err = c.tell()
	cancel()
	for i := range c.conns {
		if conn := c.conns[i].Load(); conn != nil {
			_ = conn.NetConn().Close() // the process ends
		}
	}
	all.Wait()
	return err
}

func (c *crowd) tell() error {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		s := standing{c.links.Load(), c.beats.Load(), c.lastUp.Load(), c.failed.Load(), c.last.Load().(string)}
		if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
			return err
		}
	}
	return nil
}

// live keeps one agent linked. It comes back at once: the storm is to be the worst.
func (c *crowd) live(ctx context.Context, i int, p peer) {
	for ctx.Err() == nil {
		conn, err := c.link(ctx, p)
		if err != nil {
			c.failed.Add(1)
			c.last.Store(err.Error())
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
			continue
		}
		c.conns[i].Store(conn)
		c.lastUp.Store(time.Now().UnixNano())
		c.links.Add(1)
		for p.answered(conn) == nil {
			c.beats.Add(1)
		}
		c.conns[i].Store(nil)
		c.links.Add(-1)
		_ = conn.NetConn().Close() // it is broken
	}
}

func (c *crowd) link(ctx context.Context, p peer) (*tls.Conn, error) {
	select {
	case c.dialing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.dialing }()
	raw, err := (&net.Dialer{Timeout: 20 * time.Second}).DialContext(ctx, "tcp", c.role.Address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, c.config)
	err = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if err == nil {
		err = conn.HandshakeContext(ctx)
	}
	if err == nil {
		err = p.open(conn)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return conn, nil
}

// beatAll sends every agent's heartbeat once an interval, spread evenly.
func (c *crowd) beatAll(ctx context.Context) {
	tick := time.NewTicker(deskyard.HeartbeatEvery / beatSlots)
	defer tick.Stop()
	for slot := 0; ; slot = (slot + 1) % beatSlots {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for i := slot; i < len(c.conns); i += beatSlots {
			conn := c.conns[i].Load()
			if conn == nil {
				continue
			}
			b, err := c.peers[i].beat()
			if err == nil {
				_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
				_, err = conn.Write(b)
			}
			if err != nil {
				_ = conn.NetConn().Close() // its reader makes a new one
			}
		}
	}
}
