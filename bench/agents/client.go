package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sync/errgroup"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/reverse"
)

// beatEach is the agents' own pace.
const beatEach = deskyard.HeartbeatEvery

// atOnce is how many links the client opens at one time: two cores serve both ends.
const atOnce = 64

// crowd is many agents in one process, as small as they can be.
type crowd struct {
	mode, addr string
	epochs     []string
	conns      []atomic.Pointer[net.Conn] // nil: not open
	pongs      atomic.Int64
	lost       atomic.Int64 // heartbeats that could not be sent
	readers    sync.WaitGroup
}

// connect does what it is told to, a word a line, until its input ends.
func connect(mode, addr string, n int) error {
	c := &crowd{mode: mode, addr: addr, epochs: make([]string, n), conns: make([]atomic.Pointer[net.Conn], n)}
	ctx, cancel := context.WithCancel(context.Background())
	var beating sync.WaitGroup
	beating.Go(func() { c.keepBeating(ctx) })
	defer beating.Wait()
	defer cancel()
	for words := bufio.NewScanner(os.Stdin); words.Scan(); {
		var result float64
		var err error
		switch words.Text() {
		case "open":
			result, err = c.open()
		case "beat":
			result, err = c.beat()
		case "storm":
			c.drop()
			result, err = c.open()
		}
		if err != nil {
			return err
		}
		fmt.Println(result)
	}
	c.drop()
	return nil
}

// open opens every link and gives the seconds that it took.
func (c *crowd) open() (float64, error) {
	began := time.Now()
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i := range c.conns {
		g.Go(func() error { return c.openOne(i) })
	}
	err := g.Wait()
	return time.Since(began).Seconds(), err
}

func (c *crowd) openOne(i int) error {
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{reverse.ALPN, "http/1.1"}}} // the benchmark's own server
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return err
	}
	r := io.Reader(conn)
	if c.mode == "ours" {
		if r, err = c.link(i, conn); err != nil {
			return fmt.Errorf("link %d: %w", i, err)
		}
	}
	c.conns[i].Store(&conn)
	c.readers.Go(func() {
		b := make([]byte, 64)
		for {
			n, err := r.Read(b)
			if err != nil {
				return
			}
			if n > 0 {
				c.pongs.Add(1)
			}
		}
	})
	return nil
}

// link opens the control link of host i.
func (c *crowd) link(i int, conn net.Conn) (io.Reader, error) {
	br, _, err := ws.Dialer{}.Upgrade(conn, &url.URL{Scheme: "wss", Host: c.addr, Path: reverse.LinkPath})
	if err != nil {
		return nil, err
	}
	var r io.Reader = conn
	if br != nil {
		r = br
	}
	var hello reverse.Hello
	if err := receive(r, reverse.TypeHello, &hello); err != nil {
		return nil, err
	}
	machine, err := json.Marshal(hostMachine(i))
	if err != nil {
		return nil, err
	}
	auth := reverse.Auth{Version: reverse.Version, HostID: hostID(i), Epoch: c.epochs[i], Machine: machine}
	auth.Signature = ed25519.Sign(hostKey(i), reverse.LinkProof(auth.HostID, hello.Nonce, auth.Epoch, machine))
	if err := send(conn, reverse.TypeAuth, auth); err != nil {
		return nil, err
	}
	var welcome reverse.Welcome
	if err := receive(r, reverse.TypeWelcome, &welcome); err != nil {
		return nil, err
	}
	c.epochs[i] = welcome.NextEpoch
	if err := send(conn, reverse.TypeConfirm, reverse.Confirm{Epoch: welcome.NextEpoch}); err != nil {
		return nil, err
	}
	report := deskyard.HostReport{AgentVersion: "1.0.0", Checks: []deskyard.HealthCheck{{Name: deskyard.CheckSxSListener, Result: deskyard.CheckSucceeded}}}
	return r, send(conn, reverse.TypeReport, report)
}

// keepBeating sends heartbeats on every open link at the agents' pace: a link that
// waits for the others to open must not fall silent.
func (c *crowd) keepBeating(ctx context.Context) {
	frame := ws.MustCompileFrame(ws.MaskFrameInPlaceWith(ws.NewPingFrame(reverse.Beat(1000)), [4]byte{1, 2, 3, 4}))
	step := beatEach / time.Duration(len(c.conns))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	began, sent := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int(time.Since(began) / step); sent < due; sent++ {
			conn := c.conns[sent%len(c.conns)].Load()
			if conn == nil {
				continue
			}
			if _, err := (*conn).Write(frame); err != nil {
				c.lost.Add(1)
			}
		}
	}
}

// beat counts the heartbeats that are answered within beatsFor.
func (c *crowd) beat() (float64, error) {
	before, lost := c.pongs.Load(), c.lost.Load()
	time.Sleep(beatsFor)
	if n := c.lost.Load() - lost; n > 0 {
		return 0, fmt.Errorf("%d heartbeats found their link broken", n)
	}
	return float64(c.pongs.Load() - before), nil
}

// drop closes every link.
func (c *crowd) drop() {
	for i := range c.conns {
		if conn := c.conns[i].Swap(nil); conn != nil {
			(*conn).Close()
		}
	}
	c.readers.Wait()
}

func send(w io.Writer, kind string, body any) error {
	b, err := reverse.Encode(kind, "", body)
	if err != nil {
		return err
	}
	_, err = w.Write(ws.MustCompileFrame(ws.MaskFrameInPlaceWith(ws.NewTextFrame(b), [4]byte{1, 2, 3, 4})))
	return err
}

func receive(r io.Reader, kind string, body any) error {
	f, err := ws.ReadFrame(r)
	if err != nil {
		return err
	}
	m, err := reverse.Decode(f.Payload, reverse.MaxFromService)
	if err != nil {
		return err
	}
	if m.Type != kind {
		return fmt.Errorf("the service sent %s: %s", m.Type, m.Body)
	}
	return m.Into(body)
}
