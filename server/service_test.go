package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// installation is a service in a folder of its own that can be started repeatedly.
type installation struct {
	config Config
	log    strings.Builder
}

func install(t *testing.T) *installation {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	in := &installation{config: Config{
		Data: filepath.Join(dir, "data"), Listen: l.Addr().String(), Bootstrap: filepath.Join(dir, "bootstrap.json"),
		Subscription: "Test", Domain: "test.local", LogLevel: "debug", LogFormat: "json", DrainFor: 5 * time.Second,
		Components: filepath.Join(dir, "none"),
	}}
	if err := in.config.Check(); err != nil {
		t.Fatal(err)
	}
	return in
}

// start runs the service until stop is called, and returns once it is ready.
func (in *installation) start(t *testing.T) (b BootstrapFile, client *http.Client, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	log := slog.New(&watcher{Handler: slog.NewJSONHandler(&in.log, nil), phrase: "service ready", seen: ready})
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, in.config, "test", log) }()
	stop = func() error {
		cancel()
		return <-ended
	}
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		t.Fatalf("not started: %v", err)
	}
	text, err := os.ReadFile(in.config.Bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(b.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return b, &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}, Timeout: 30 * time.Second}, stop
}

// watcher is a log handler that tells when a phrase is logged.
type watcher struct {
	slog.Handler
	phrase string
	seen   chan struct{}
}

func (w *watcher) Handle(ctx context.Context, r slog.Record) error {
	err := w.Handler.Handle(ctx, r)
	if r.Message == w.phrase {
		close(w.seen)
	}
	return err
}

func logsIn(t *testing.T, c *http.Client, b BootstrapFile) bool {
	t.Helper()
	resp, err := c.PostForm(b.Endpoint+"/"+b.TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {b.ClientID}, "client_secret": {b.ClientSecret}, "scope": {b.Endpoint + "/.default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestTheFirstStartHandsOverCredentialsThatLogInAndARestartKeepsThem(t *testing.T) {
	in := install(t)
	b, client, stop := in.start(t)
	if !logsIn(t, client, b) {
		t.Fatal("the first credentials do not log in")
	}
	if st, err := os.Stat(in.config.Bootstrap); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("bootstrap file: %v, %v; want mode 0600", st.Mode().Perm(), err)
	}
	if err := Run(t.Context(), in.config, "test", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another deskyard") {
		t.Fatalf("a second service over the same folder: %v", err)
	}
	for path, want := range map[string]string{"/healthz": `"ok"`, "/readyz": `"ready"`, "/metrics": "go_goroutines"} {
		if status, body := get(t, client, b.Endpoint+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	again, client, stop := in.start(t)
	if again != b {
		t.Error("a restart changed the credentials of a bootstrap file that was there")
	}
	if !logsIn(t, client, again) {
		t.Error("they no longer log in")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	if err := os.Remove(in.config.Bootstrap); err != nil {
		t.Fatal(err)
	}
	fresh, client, stop := in.start(t)
	if fresh.ClientSecret == b.ClientSecret || fresh.AdminPassword == b.AdminPassword || fresh.TenantID != b.TenantID || fresh.SubscriptionID != b.SubscriptionID {
		t.Error("a lost bootstrap file must bring new credentials of the same installation")
	}
	if !logsIn(t, client, fresh) || !logsIn(t, client, b) {
		t.Error("the new secret must log in, and the old one until it is removed")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{b.ClientSecret, b.AdminPassword, fresh.ClientSecret, fresh.AdminPassword} {
		if strings.Contains(in.log.String(), secret) {
			t.Error("a secret is in the log")
		}
	}
}

func TestABackupOfARunningServiceRestoresToTheSameInstallation(t *testing.T) {
	in := install(t)
	b, _, stop := in.start(t)
	file := filepath.Join(t.TempDir(), "backup.tar")
	if whole, err := Backup(t.Context(), in.config, file); err != nil || !whole {
		t.Fatalf("Backup = %v, %v", whole, err)
	}
	if _, err := Backup(t.Context(), in.config, file); err == nil {
		t.Error("a backup overwrote another")
	}
	if err := Restore(in.config, file); err == nil {
		t.Error("a restore mixed with what was in the folder")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(in.config.Data, in.config.Data+".old"); err != nil {
		t.Fatal(err)
	}
	if err := Restore(in.config, file); err != nil {
		t.Fatal(err)
	}
	restored, client, stop := in.start(t)
	if restored != b || !logsIn(t, client, restored) {
		t.Error("the restored installation is not the one that was backed up")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("not a backup"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := in.config
	other.Data, other.Database = t.TempDir(), ""
	if err := other.Check(); err != nil {
		t.Fatal(err)
	}
	if err := Restore(other, file); err == nil {
		t.Error("rubbish was restored")
	}
}

func TestTheDoctorNamesTheRemedyOfWhatFails(t *testing.T) {
	in := install(t)
	for _, f := range Diagnose(t.Context(), in.config) {
		if f.Result == "fail" {
			t.Errorf("%+v", f)
		}
	}
	l, err := net.Listen("tcp", in.config.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	failed := map[string]bool{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		if conn, err := l.Accept(); err == nil { // the doctor asks who listens there
			conn.Close()
		}
	}()
	for _, f := range Diagnose(ctx, in.config) {
		if f.Result == "fail" {
			failed[f.Name] = f.Remedy != ""
		}
	}
	if len(failed) != 1 || !failed["listen address"] {
		t.Errorf("with a port in use: %v", failed)
	}
}
