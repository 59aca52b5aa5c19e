package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/deskyard/deskyard/gateway"
	"github.com/deskyard/deskyard/relay"
)

// GatewayConfig is what a gateway on a machine of its own can be told.
type GatewayConfig struct {
	Bundle        string        `help:"File that \"deskyard gateway enroll\" wrote on the service; the certificate in it is renewed in place." required:"" env:"DESKYARD_GATEWAY_BUNDLE" type:"path" placeholder:"FILE"`
	Listen        string        `help:"Address of the one TLS port." default:":8443" env:"DESKYARD_LISTEN" placeholder:"HOST:PORT"`
	TLSCert       string        `help:"Certificate chain to show to people instead of one of the service's CA." name:"tls-cert" env:"DESKYARD_TLS_CERT" type:"path" placeholder:"FILE"`
	TLSKey        string        `help:"Key of --tls-cert." name:"tls-key" env:"DESKYARD_TLS_KEY" type:"path" placeholder:"FILE"`
	TrustProxy    []string      `help:"Address prefixes of reverse proxies whose X-Forwarded-For is believed, and whose connections are not counted." name:"trust-proxy" env:"DESKYARD_TRUST_PROXY" placeholder:"CIDR"`
	MetricsListen string        `help:"Also serve /metrics in clear on this address." name:"metrics-listen" env:"DESKYARD_METRICS_LISTEN" placeholder:"HOST:PORT"`
	LogLevel      string        `help:"debug, info, warn or error." name:"log-level" default:"info" enum:"debug,info,warn,error" env:"DESKYARD_LOG_LEVEL"`
	LogFormat     string        `help:"text or json." name:"log-format" default:"text" enum:"text,json" env:"DESKYARD_LOG_FORMAT"`
	DrainFor      time.Duration `help:"How long a shutdown waits for sessions to end." name:"drain-for" default:"15s" env:"DESKYARD_DRAIN_FOR"`
}

// edge is a running gateway.
type edge struct {
	config       GatewayConfig
	bundle       gateway.Bundle
	log          *slog.Logger
	registry     *prometheus.Registry
	certificates *certificates
	remote       *gateway.Remote
	gateway      *gateway.Gateway
	relay        http.Handler // its paths
	strangers    *strangers
	draining     atomic.Bool
}

// RunGateway serves a gateway until ctx ends, then lets its sessions end.
func RunGateway(ctx context.Context, c GatewayConfig, version string, log *slog.Logger) error {
	slog.SetDefault(log) // libraries log there
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key go together")
	}
	e := &edge{config: c, log: log, registry: prometheus.NewRegistry()}
	var err error
	if e.bundle, err = gateway.ReadBundle(c.Bundle); err != nil {
		return err
	}
	if err := e.open(ctx); err != nil {
		return err
	}
	defer e.remote.Close()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	servers := map[*http.Server]net.Listener{e.server(e): tls.NewListener(relay.Listen(listener), e.certificates.config())}
	if c.MetricsListen != "" {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.MetricsListen)
		if err != nil {
			return errors.Join(fmt.Errorf("listen for metrics on %s: %w", c.MetricsListen, err), listener.Close())
		}
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", promhttp.HandlerFor(e.registry, promhttp.HandlerOpts{Timeout: 10 * time.Second}))
		servers[e.server(mux)] = l
	}
	// Now that the port is ours no other process of this gateway's has sessions.
	begin, cancel := context.WithTimeout(ctx, beginTime)
	if err := e.gateway.Begin(begin); err != nil { // the service may be away; reports go on
		log.Warn("service not told that the gateway begins", "err", err)
	}
	cancel()
	log.Info("gateway ready", "name", e.bundle.Name, "urls", e.bundle.URLs, "listen", listener.Addr(), "service", e.bundle.Service, "version", version)
	return e.work(ctx, servers)
}

// open makes what the gateway consists of.
func (e *edge) open(ctx context.Context) error {
	pin, err := e.bundle.Pin()
	if err != nil {
		return err
	}
	pair, err := e.bundle.Pair()
	if err != nil {
		return err
	}
	proxies, err := trustedProxies(e.config.TrustProxy)
	if err != nil {
		return err
	}
	e.certificates = &certificates{now: time.Now, log: e.log, certFile: e.config.TLSCert, keyFile: e.config.TLSKey}
	e.certificates.issue = func() (*tls.Certificate, error) { return e.renew(ctx) }
	e.certificates.internal.Store(pair)
	e.remote = gateway.NewRemote(e.bundle.Service, pin, e.certificates.internal.Load)
	if err := e.certificates.reread(); err != nil {
		return err
	}
	e.gateway, err = gateway.New(gateway.Options{
		Brokerage: e.remote, Name: e.bundle.Name, URLs: e.bundle.URLs, Origins: e.bundle.Origins, Registry: e.registry, Log: e.log,
		ClientAddress: proxies.Client,
	})
	if err != nil {
		return err
	}
	e.relay = e.gateway.Handler()
	e.strangers = newStrangers(proxies, e.registry)
	e.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return nil
}

// beginTime bounds how long the doors stay shut for a service that does not answer.
const beginTime = 3 * time.Second

// renewTime bounds the making of a fresh certificate.
const renewTime = 20 * time.Second

// renew has the service certify a fresh key, and keeps both in the bundle.
func (e *edge) renew(ctx context.Context) (*tls.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the gateway's key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the gateway's key: %w", err)
	}
	next := e.bundle
	if next.Certificate, err = e.remote.Renew(ctx, key.Public()); err != nil {
		return nil, fmt.Errorf("renew the gateway's certificate: %w", err)
	}
	next.Key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	pair, err := next.Pair()
	if err != nil {
		return nil, err
	}
	if err := next.Write(e.config.Bundle); err != nil {
		return nil, err
	}
	e.bundle = next
	return pair, nil
}

func (e *edge) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ConnState: e.strangers.state, ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelDebug), // handshake failures of strangers
	}
}

// ServeHTTP answers at the gateway's port.
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case gateway.Owns(r.URL.Path):
		e.relay.ServeHTTP(w, r)
	case r.URL.Path == "/healthz":
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	case r.URL.Path == "/readyz" && e.draining.Load():
		answer(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "reason": "the gateway is stopping"})
	case r.URL.Path == "/readyz":
		answer(w, http.StatusOK, map[string]string{"status": "ready"})
	default:
		http.NotFound(w, r)
	}
}

// work serves until ctx ends or a server fails.
func (e *edge) work(ctx context.Context, servers map[*http.Server]net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for srv, l := range servers {
		wg.Go(func() {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("serve on %s: %w", l.Addr(), err))
			}
		})
	}
	wg.Go(func() { e.certificates.keepFresh(ctx) })
	wg.Go(func() { e.gateway.Obey(ctx, e.remote) })
	wg.Go(func() { e.gateway.Report(ctx) })
	<-ctx.Done()
	e.draining.Store(true)
	e.log.Info("gateway stopping", "reason", context.Cause(ctx), "sessions", e.gateway.Sessions())
	drain, done := context.WithTimeout(context.Background(), e.config.DrainFor)
	defer done()
	var err error
	relayed := make(chan struct{})
	go func() { // ends some seconds after drain at the latest
		e.gateway.Close(drain)
		close(relayed)
	}()
	for srv := range servers {
		if srv.Shutdown(drain) != nil {
			err = errors.Join(err, srv.Close())
		}
	}
	<-relayed
	wg.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	e.log.Info("gateway stopped")
	return err
}
