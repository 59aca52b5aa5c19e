package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/gateway"
	"github.com/deskyard/deskyard/reverse"
)

// freePort is an address that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestAGatewayServesFromItsBundleUntilItIsStopped(t *testing.T) {
	c, _ := yard(t)
	at, metrics, file := freePort(t), freePort(t), filepath.Join(t.TempDir(), "edge.json")
	b, err := EnrollGateway(c, "edge", []string{"https://" + at})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Write(file); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- RunGateway(ctx, GatewayConfig{Bundle: file, Listen: at, MetricsListen: metrics, DrainFor: time.Second}, "1.0.0", slog.New(slog.DiscardHandler))
	}()
	pin, err := b.Pin()
	if err != nil {
		t.Fatal(err)
	}
	trust := reverse.PinnedGateway(pin)
	trust.NextProtos = []string{"http/1.1"}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	for _, want := range []struct {
		url, text string
		status    int
	}{
		{"https://" + at + "/readyz", `"ready"`, http.StatusOK},
		{"https://" + at + "/elsewhere", "", http.StatusNotFound},
		{"https://" + at + reverse.LegPath + strings.Repeat("a", 32), "", http.StatusBadRequest},
		{"https://" + at + gateway.BrokerPath + "admit", "", http.StatusNotFound}, // the service's own
		{"http://" + metrics + "/metrics", "deskyard_gateway_sessions 0", http.StatusOK},
	} {
		resp, err := client.Get(want.url)
		for end := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(end); resp, err = client.Get(want.url) { // until it listens
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != want.status || !strings.Contains(string(text), want.text) {
			t.Errorf("%s: %d %s, %v", want.url, resp.StatusCode, text, err)
		}
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the gateway does not stop")
	}
}

func TestAGatewayWithoutAUsableBundleSaysSo(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.json")
	for _, c := range []GatewayConfig{{Bundle: missing}, {Bundle: missing, TLSCert: "x"}} {
		err := RunGateway(t.Context(), c, "1.0.0", slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), missing) && !strings.Contains(err.Error(), "--tls-key") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
