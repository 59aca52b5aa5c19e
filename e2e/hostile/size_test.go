//go:build e2e

package hostile

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// growthMB bounds what refusing large and many requests may add to the service's
// memory: its 4 MB bodies, its connections, and garbage not yet collected.
const growthMB = 64

// zeros is a body of a size that never ends early.
func zeros(size int64) io.Reader { return io.LimitReader(zeroReader{}, size) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestABodyOf100MBIsRefusedWithoutUsingMemory(t *testing.T) {
	h := open(t)
	h.makePool(t, "pool")
	before := h.memory(t, "VmRSS")
	var all sync.WaitGroup
	for _, sized := range []bool{true, true, false, false} {
		all.Go(func() {
			body := io.Reader(zeros(100 << 20))
			req, err := http.NewRequestWithContext(t.Context(), "PUT", h.Endpoint+h.pool("pool")+"?api-version="+desktops, body)
			if err != nil {
				t.Error(err)
				return
			}
			if sized {
				req.ContentLength = 100 << 20
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+h.token(t, h.ClientID, h.ClientSecret))
			r, err := exchange(h.http, req)
			if err != nil {
				t.Errorf("sized %v: %v", sized, err)
				return
			}
			wantARMError(t, r, http.StatusRequestEntityTooLarge, "RequestContentTooLarge")
		})
	}
	all.Wait()
	if peak := h.memory(t, "VmHWM"); peak > before+growthMB {
		t.Errorf("the service had %d MB before and %d MB at its highest", before, peak)
	}
	// The agents' and the issuer's doors have no token to ask for first.
	for _, path := range []string{"/agent/v1/register", "/" + h.TenantID + "/oauth2/v2.0/token"} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", h.Endpoint+path, zeros(100<<20))
		if err != nil {
			t.Fatal(err)
		}
		r, err := exchange(h.http, req)
		if err == nil && (r.status < 400 || r.status >= 500) {
			t.Errorf("%s answers %d to 100 MB", path, r.status)
		}
	}
	if peak := h.memory(t, "VmHWM"); peak > before+growthMB {
		t.Errorf("the service had %d MB before and %d MB at its highest, after all doors", before, peak)
	}
	h.must(t, http.StatusOK, "GET", h.pool("pool"), desktops, "")
}

func TestAConnectionThatSendsItsHeadersSlowlyIsCutOff(t *testing.T) {
	h := open(t)
	config := h.http.Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos, config.ServerName = []string{"http/1.1"}, "localhost"
	address := strings.TrimPrefix(strings.Replace(h.Endpoint, "localhost", "127.0.0.1", 1), "https://")
	const slow = 100
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range slow {
		all.Go(func() { drip(ctx, t, config, address) })
	}
	deadline := time.Now().Add(8 * time.Second)
	for time.Now().Before(deadline) { // others are served all the while
		h.must(t, http.StatusOK, "GET", h.group(), "2021-04-01", "")
	}
	all.Wait()
	h.must(t, http.StatusOK, "GET", h.group(), "2021-04-01", "")
}

// drip sends a byte of a header each half second until the service has had enough.
func drip(ctx context.Context, t *testing.T, config *tls.Config, address string) {
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	closed := make(chan struct{})
	go func() { // ends with the connection
		defer close(closed)
		r := bufio.NewReader(conn)
		for {
			if _, err := r.ReadByte(); err != nil {
				return
			}
		}
	}()
	if _, err := fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "); err != nil {
		t.Error(err)
		return
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-closed:
			return
		case <-ctx.Done():
			t.Error("a connection that sends half a header lives on after 30 seconds")
			return
		case <-tick.C:
			if _, err := conn.Write([]byte("a")); err != nil {
				return
			}
		}
	}
}

func TestManyRequestsThatAreGivenUpAtOnceDoNotStopTheOthersOrGatherMemory(t *testing.T) {
	h := open(t)
	h.makePool(t, "pool")
	h.giveUpMany(t) // what garbage the collector lets stand
	before := h.memory(t, "VmHWM")
	for range 3 {
		h.giveUpMany(t)
	}
	h.must(t, http.StatusOK, "GET", h.pool("pool"), desktops, "")
	if peak := h.memory(t, "VmHWM"); peak > before+growthMB/2 {
		t.Errorf("the service had %d MB at its highest after one storm and %d MB after four", before, peak)
	}
}

// giveUpMany sends requests over HTTP/2 and resets their streams while the service
// works on them.
func (h *house) giveUpMany(t *testing.T) {
	t.Helper()
	token := h.token(t, h.ClientID, h.ClientSecret)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 300 {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
				req, err := http.NewRequestWithContext(ctx, "GET", h.Endpoint+h.pool("pool")+"?api-version="+desktops, nil)
				if err != nil {
					t.Error(err)
				} else {
					req.Header.Set("Authorization", "Bearer "+token)
					if res, err := h.http.Do(req); err == nil {
						res.Body.Close()
					}
				}
				cancel()
			}
		})
	}
	all.Wait()
}
