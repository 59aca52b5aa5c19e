//go:build e2e

package sessions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskyard/deskyard/rdp"
)

func TestHostileClientsGetNothingAndCostLittle(t *testing.T) {
	y := open(t)
	ann := y.sit(t, "ann")
	y.ready(t, ann)
	for _, c := range []struct {
		name string
		tell func(*yard, *testing.T)
	}{
		{"tickets that are not good", (*yard).badTickets},
		{"a host that does not dial back", (*yard).noLeg},
		{"heads and frames without measure", (*yard).oversized},
		{"slow clients at each door", (*yard).slowClients},
		{"no secret is in logs, database or process lists", (*yard).secretsKept},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.tell(y, t)
			ann.alive(t, "after it")
		})
	}
}

// badTickets are refused alike, whatever is wrong with them, and the service's log says
// what it is.
func (y *yard) badTickets(t *testing.T) {
	_, late := y.ticketFor(t, "eve")
	expires := time.Now().Add(31 * time.Second)
	id, used := y.ticketFor(t, "bob")
	p, err := y.greet(t, edgePort, used)
	must(t, err)
	defer p.Close() //nolint:errcheck // its end is not looked at
	must(t, p.begin())
	_, one := y.ticketFor(t, "ann")
	_, other := y.ticketFor(t, "bob")
	payload, _, _ := strings.Cut(one, ".")
	_, signature, _ := strings.Cut(other, ".")
	flipped := []byte(one)
	flipped[len(payload)/2] ^= 1
	bad := map[string]string{
		"used": used, "ann's words with bob's signature": payload + "." + signature, "one character changed": string(flipped),
		"without a signature": payload, "nothing of the kind": strings.Repeat("x", 4000),
	}
	want, err := rdp.CleanPathFailure(rdp.CleanPathError{Code: rdp.CleanPathGeneral, HTTP: http.StatusUnauthorized}, nil)
	must(t, err)
	refuse := func(name, ticket, port string) {
		t.Helper()
		p, err := y.greet(t, port, ticket)
		var r refused
		if err == nil {
			_ = p.Close() // it should not be there
		}
		if !errors.As(err, &r) || !bytes.Equal(r.answer, want) {
			t.Errorf("a ticket that is %s: %v", name, err)
		}
	}
	for name, ticket := range bad {
		refuse(name, ticket, edgePort)
		refuse(name, ticket, servicePort)
	}
	must(t, p.step()) // the session of the one that was used before goes on
	if status, answer := y.ask(t, "eve", http.MethodGet, serviceURL+"/connect/v1/connections/"+id, nil); status != http.StatusNotFound {
		t.Errorf("eve sees bob's connection: %d %s", status, answer)
	}
	time.Sleep(time.Until(expires))
	refuse("expired", late, edgePort)
	if log := y.service.Log(400); !strings.Contains(log, "ticket refused") || !strings.Contains(log, "it was used") {
		t.Error("the service's log does not say why")
	}
}

// noLeg: a stack that hangs costs its user fifteen seconds and nobody a place.
func (y *yard) noLeg(t *testing.T) {
	y.host.sh(t, "kill -STOP $(pgrep -x deskyard-sxs)")
	id, ticket := y.ticketFor(t, "eve")
	begin := time.Now()
	_, err := y.greet(t, edgePort, ticket)
	took := time.Since(begin)
	y.host.sh(t, "kill -CONT $(pgrep -x deskyard-sxs)")
	var r refused
	if !errors.As(err, &r) || took > 20*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
	_, words := y.awaitRecord(t, id, "Failed", 5*time.Second)
	t.Logf("refused after %.1f s: %s", took.Seconds(), words)
	if !strings.HasPrefix(words, "ReverseConnectFailed") || !strings.Contains(words, "Try again") {
		t.Error("the record does not say what to do")
	}
	y.awaitSession(t, "eve", "", 5*time.Second)
	y.available(t)
}

// oversized: what has no measure is refused before it is stored.
func (y *yard) oversized(t *testing.T) {
	for _, port := range []string{servicePort, edgePort} {
		c, err := y.dialTLS(t, y.people, port)
		must(t, err)
		must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(c, "GET /gateway/v1/rdp HTTP/1.1\r\nHost: gw\r\nX: ")
		for i := 0; err == nil && i < 200; i++ {
			_, err = io.WriteString(c, strings.Repeat("x", 1000)) // cut off in the midst is well
		}
		answer := make([]byte, 12)
		if _, err := io.ReadFull(c, answer); err == nil && string(answer) != "HTTP/1.1 431" {
			t.Errorf("200 kB of headers at port %s are answered %q", port, answer)
		}
		_ = c.Close() // it is over
		p, err := y.browse(t, y.people, port, "/gateway/v1/rdp")
		must(t, err)
		_, err = p.conn.Write([]byte{0x82, 0xff, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0x30, 0x83, 0xff, 0xff, 0xff}) // 4 EB, that say they are 16 MB
		must(t, err)
		if answer, err := p.message(); err != nil || len(answer) > 40 {
			t.Errorf("a frame without measure is answered %x %v", answer, err)
		}
		_ = p.Close() // it is over
	}
}

// open descriptors and memory of the gateway.
func (y *yard) cost(t *testing.T) (files, memory int) {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", y.edge.cmd.Process.Pid))
	must(t, err)
	return len(list), resident(t, y.edge.cmd.Process.Pid)
}

// slowClients: thousands that begin and do not go on, at each door, are cut within ten
// seconds or so, are bounded by their address, and keep nobody else out.
func (y *yard) slowClients(t *testing.T) {
	files, memory := y.cost(t)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex // guards longest
	longest := map[string]time.Duration{}
	trickle := func(kind string, open func() (net.Conn, error), bytes string) {
		wg.Go(func() {
			for ctx.Err() == nil {
				c, err := open()
				if err != nil {
					time.Sleep(50 * time.Millisecond) // turned away
					continue
				}
				begin := time.Now()
				for i := 0; err == nil && ctx.Err() == nil; i++ {
					if err = c.SetDeadline(time.Now().Add(time.Second)); err == nil {
						_, err = io.WriteString(c, string(bytes[i%len(bytes)]))
					}
					var timeout net.Error
					if _, silent := c.Read(make([]byte, 1)); silent != nil && !(errors.As(silent, &timeout) && timeout.Timeout()) {
						err = silent
					}
				}
				_ = c.Close() // it is over
				mu.Lock()
				longest[kind] = max(longest[kind], time.Since(begin))
				mu.Unlock()
			}
		})
	}
	raw := func() (net.Conn, error) { return y.people.dial(net.JoinHostPort(houseIP, edgePort)) }
	after := func(head string) func() (net.Conn, error) {
		return func() (net.Conn, error) {
			c, err := y.dialTLS(t, y.people, edgePort)
			if err != nil {
				return nil, err
			}
			if err := errors.Join(c.SetDeadline(time.Now().Add(10*time.Second)), c.Handshake()); err != nil {
				return nil, errors.Join(err, c.Close())
			}
			_, err = io.WriteString(c, head)
			return c, err
		}
	}
	upgrade := " HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	for i := range 150 {
		trickle("TLS handshake", raw, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
		trickle("HTTP head", after("GET /gateway/v1/rdp HTTP/1.1\r\nHost: "), "x")
		trickle("RDCleanPath", after("GET /gateway/v1/rdp"+upgrade), "\x82\xfe\x10\x00\x00\x00\x00\x00\x30\x82\x0f\xf0\x00")
		trickle("TSGU WebSocket", after("RDG_OUT_DATA /remoteDesktopGateway/"+upgrade), "\x82\xfe\x10\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x10\x00")
		trickle("TSGU half", after(fmt.Sprintf("RDG_OUT_DATA /remoteDesktopGateway/ HTTP/1.1\r\nHost: gw\r\nRDG-Connection-Id: {%d}\r\n\r\n", i)), "x")
		trickle("AVD promise", after("GET /gateway/v1/avd?id="+strconv.Itoa(i)+upgrade), "x")
		trickle("host's leg", after("GET /agent/v1/leg/"+strings.Repeat("ab", 16)+" HTTP/1.1\r\nHost: gw\r\nX: "), "x")
	}
	for range 1200 { // and those that say nothing at all
		wg.Go(func() {
			if c, err := raw(); err == nil {
				<-ctx.Done()
				_ = c.Close() // it is over
			}
		})
	}
	during := 0
	var heavy []int // MiB, each ten seconds: by then all of the ten before are cut, and others in their place
	for range 4 {
		time.Sleep(10 * time.Second)
		n, m := y.cost(t)
		during, heavy = max(during, n), append(heavy, m>>20)
	}
	_, ticket := y.ticketFor(t, "bob")
	begin := time.Now()
	p, err := y.greetFrom(t, y.host.place, edgePort, ticket) // a person elsewhere
	if err != nil {
		t.Errorf("a person of another address: %v", err)
	} else {
		must(t, p.begin())
		must(t, p.step())
		t.Logf("a person of another address is connected within %d ms", time.Since(begin).Milliseconds())
		_ = p.Close() // it is over
	}
	stop()
	wg.Wait()
	t.Logf("2,250 slow clients of one address: descriptors of the gateway %d, %d with them; memory %d MiB, and with them, each ten seconds, %d MiB", files, during, memory>>20, heavy)
	for kind, d := range longest {
		t.Logf("%s: the slowest was cut after %.1f s", kind, d.Seconds())
		if d > 35*time.Second {
			t.Errorf("%s lasted %s", kind, d)
		}
	}
	if last := heavy[len(heavy)-1]; during > files+1100 || last > memory>>20+96 || last > heavy[1]+16 {
		t.Errorf("the gateway has %d descriptors and %d MiB", during, heavy)
	}
	must(t, until(t.Context(), 40*time.Second, func() bool { left, _ := y.cost(t); return left < files+20 }))
}

// secretsKept looks for every secret that this run has seen.
func (y *yard) secretsKept(t *testing.T) {
	texts := map[string][]byte{}
	read := func(name, path string) {
		b, err := os.ReadFile(path)
		must(t, err)
		texts[name] = b
	}
	read("the service's log", y.service.LogFile)
	read("the gateway's log", y.edge.log)
	database, err := filepath.Glob(filepath.Join(y.service.DataFolder(), "deskyard.db*"))
	must(t, err)
	if len(database) == 0 {
		t.Error("the database is not where it was")
	}
	for _, f := range database {
		read("the database's "+filepath.Base(f), f)
	}
	texts["the host's journal"] = []byte(y.host.sh(t, "journalctl --no-pager -o cat -u 'deskyard*'; find /var/lib/deskyard /run/deskyard /etc/deskyard -type f -size -1M -exec cat {} +"))
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, f := range processes {
		b, err := os.ReadFile(f)
		if err == nil && bytes.Contains(b, []byte("deskyard")) && !bytes.Contains(b, []byte("xfreerdp")) { // FreeRDP's is the test's own
			texts["the process list"] = append(texts["the process list"], b...)
			environment, err := os.ReadFile(filepath.Join(filepath.Dir(f), "environ"))
			if err == nil {
				texts["the processes' environment"] = append(texts["the processes' environment"], environment...)
			}
		}
	}
	for where, text := range texts {
		if len(text) == 0 && !strings.Contains(where, "deskyard.db-") { // the database's lock files may be
			t.Errorf("%s is empty", where)
		}
		for secret, what := range y.secrets {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s holds %s", where, what)
			}
		}
	}
	t.Logf("%d secrets looked for in %d places", len(y.secrets), len(texts))
}
