package monitor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func run(t *testing.T, m *Monitor) (*Client, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	path := filepath.Join(t.TempDir(), "m.sock")
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- m.Run(ctx, path, addr, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	return NewClient(path), addr
}

func TestTheMonitorMeasuresThisMachine(t *testing.T) {
	c, addr := run(t, New("1.2.3", slog.New(slog.DiscardHandler)))
	if err := c.Tell(t.Context(), FromAgent{SessionsActive: 2, RoundTripSeconds: 0.05}); err != nil {
		t.Fatal(err)
	}
	m, err := c.Metrics(t.Context())
	if err != nil || m.Version != "1.2.3" || m.SessionsActive != 2 {
		t.Fatalf("%+v, %v", m, err)
	}
	if m.MemoryTotal == 0 || m.MemoryFree == 0 || m.MemoryFree > m.MemoryTotal || m.DiskTotal == 0 || m.DiskFree > m.DiskTotal || m.Uptime <= 0 {
		t.Fatalf("not plausible: %+v", m)
	}
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(text), "deskyard_host_sessions_active 2\n") {
		t.Fatalf("%v\n%s", err, text)
	}
}

func TestAMeasurementThatFailsIsAnErrorAndNotAnOldOne(t *testing.T) {
	m := New("1", slog.New(slog.DiscardHandler))
	m.measure()
	m.read = func() (reading, error) { return reading{}, errors.New("no /proc") }
	m.measure()
	if n, err := m.Newest(); err == nil {
		t.Fatalf("an old measurement passes as new: %+v", n)
	}
}

func TestCPUPercentIsTheBusyShareBetweenReadings(t *testing.T) {
	for _, c := range []struct {
		before, now reading
		want        float64
	}{
		{reading{cpuBusy: 10, cpuTotal: 100}, reading{cpuBusy: 60, cpuTotal: 200}, 50},
		{reading{cpuBusy: 10, cpuTotal: 100}, reading{cpuBusy: 10, cpuTotal: 100}, 0},
		{reading{cpuBusy: 90, cpuTotal: 100}, reading{cpuBusy: 10, cpuTotal: 200}, 0},
	} {
		if got := percent(c.before, c.now); got != c.want {
			t.Errorf("percent(%v, %v) = %v", c.before, c.now, got)
		}
	}
}
