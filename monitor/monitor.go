package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/deskyard/deskyard/socket"
)

// measureEvery is the interval of measurements: that of AVD's performance counters.
const measureEvery = 30 * time.Second

// DefaultListen is where Prometheus scrapes.
const DefaultListen = "127.0.0.1:9464"

// Monitor measures one machine.
type Monitor struct {
	version string
	log     *slog.Logger
	read    func() (reading, error)
	now     func() time.Time

	mu     sync.Mutex // guards last, newest, agent, failed
	last   reading
	newest Metrics
	agent  FromAgent
	failed error // why the newest measurement could not be made
}

// New makes the monitor of this machine.
func New(version string, log *slog.Logger) *Monitor {
	return &Monitor{version: version, log: log, read: readMachine, now: time.Now}
}

// Run measures, and answers on the socket and on listen ("" for none), until ctx
// ends; ready is called when it does.
func (m *Monitor) Run(ctx context.Context, socketPathOr, listen string, ready func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m.measure()
	var wg sync.WaitGroup
	wg.Go(func() { m.keepMeasuring(ctx) })
	if listen != "" {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
		if err != nil {
			cancel(nil)
			wg.Wait()
			return fmt.Errorf("listen for Prometheus on %s: %w", listen, err)
		}
		wg.Go(func() {
			if err := m.servePrometheus(ctx, l); err != nil {
				cancel(err)
			}
		})
	}
	err := socket.Serve(ctx, socketPath(socketPathOr), m.handler(), ready)
	cancel(nil)
	wg.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return err
}

func (m *Monitor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/metrics", socket.Handle(func(context.Context, *http.Request, struct{}) (Metrics, error) {
		return m.Newest()
	}))
	mux.HandleFunc("PUT /v1/agent", socket.Handle(func(_ context.Context, _ *http.Request, a FromAgent) (struct{}, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.agent = a
		return struct{}{}, nil
	}))
	return mux
}

func (m *Monitor) servePrometheus(ctx context.Context, l net.Listener) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{m})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve Prometheus: %w", err)
	}
	return nil
}

func (m *Monitor) keepMeasuring(ctx context.Context) {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.measure()
		}
	}
}

func (m *Monitor) measure() {
	r, err := m.read()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed = err; err != nil {
		m.log.Error("machine not measured", "err", err)
		return
	}
	m.newest = Metrics{
		Version: m.version, At: m.now().UTC(), CPUPercent: percent(m.last, r), Cores: runtime.NumCPU(), Load1: r.load1,
		MemoryTotal: r.memTotal, MemoryFree: r.memFree, DiskTotal: r.diskTotal, DiskFree: r.diskFree, Uptime: r.uptime,
	}
	m.last = r
}

// Newest is the newest measurement with what the agent last told, or why there is none.
func (m *Monitor) Newest() (Metrics, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed != nil {
		return Metrics{}, m.failed
	}
	n := m.newest
	n.FromAgent = m.agent
	return n, nil
}
