//go:build e2e

package hostile

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskyard/deskyard/e2e/service"
)

func TestASecondServiceOnTheSameDataIsRefused(t *testing.T) {
	h := open(t)
	out, err := run(t, "serve", "--data", filepath.Join(h.dir, "data"), "--listen", "127.0.0.1:0")
	if err == nil || !strings.Contains(out, "another deskyard serves it") || !strings.Contains(out, "--data") {
		t.Errorf("a second service says %q, %v", out, err)
	}
	h.must(t, http.StatusOK, "GET", h.group(), "2021-04-01", "")
}

func TestAPortInUseIsToldByItsName(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := run(t, "serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", l.Addr().String(), "--bootstrap", filepath.Join(t.TempDir(), "b.json"))
	if err == nil || !strings.Contains(out, l.Addr().String()) || !strings.Contains(out, "address already in use") {
		t.Errorf("the service says %q, %v", out, err)
	}
}

func TestEveryMistakeInTheConfigurationIsToldAtOnce(t *testing.T) {
	out, err := run(t, "serve", "--data", t.TempDir(), "--listen", "nonsense", "--public-url", "http://x", "--log-level", "loud", "--trust-proxy", "everybody")
	if err == nil {
		t.Error("a wrong configuration is served")
	}
	for _, flag := range []string{"--listen", "--public-url", "--log-level", "--trust-proxy"} {
		if !strings.Contains(out, flag) {
			t.Errorf("the refusal does not name %s: %s", flag, out)
		}
	}
}

func TestARestartKeepsCredentialsAndTokens(t *testing.T) {
	h := open(t)
	h.makePool(t, "pool")
	key := h.makeKey(t, "pool", "")
	before := h.Bootstrap
	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.Bootstrap != before {
		t.Errorf("the bootstrap file changed from %+v to %+v", before.ClientID, h.Bootstrap.ClientID)
	}
	h.must(t, http.StatusOK, "GET", h.pool("pool"), desktops, "") // with the access token of before
	if _, err := h.signIn(t.Context(), before.ClientID, before.ClientSecret); err != nil {
		t.Error(err)
	}
	var again struct{ Token string }
	h.must(t, http.StatusOK, "POST", h.pool("pool")+"/retrieveRegistrationToken", desktops, "").into(t, &again)
	if again.Token != key {
		t.Error("the registration token is another after a restart")
	}
}

func TestACorruptBootstrapFileIsReplacedByOneThatWorks(t *testing.T) {
	h := open(t)
	for name, text := range map[string]string{"garbage": "\x00\x01garbage", "cut off": `{"endpoint":"https://`, "of another installation": `{"tenantId":"x","clientId":"y","clientSecret":"z"}`, "empty": ""} {
		if err := h.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(h.BootstrapFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := h.Restart(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := h.signIn(t.Context(), h.ClientID, h.ClientSecret); err != nil {
			t.Errorf("%s: the new credentials do not work: %v", name, err)
		}
		if st, err := os.Stat(h.BootstrapFile); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: the bootstrap file has mode %v, %v", name, st.Mode(), err)
		}
	}
}

func TestABackupTakenWhileTheServiceWritesRestoresTheSameInstallation(t *testing.T) {
	h := open(t)
	h.makePool(t, "pool")
	key := h.makeKey(t, "pool", "")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // writes go on while the backup is taken
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			r := h.call(t, "PUT", h.pool(fmt.Sprintf("busy-%03d", i%200))+"?api-version="+desktops, strings.NewReader(poolBody))
			if r.status >= 300 {
				t.Errorf("a write beside the backup answers %d: %s", r.status, r.body)
				return
			}
		}
	}()
	file := filepath.Join(h.dir, "backup.tar")
	out, err := run(t, "backup", "--data", filepath.Join(h.dir, "data"), file)
	close(stop)
	<-stopped
	if err != nil {
		t.Fatalf("backup: %v: %s", err, out)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the backup, which holds the keys, has mode %v, %v", st.Mode(), err)
	}
	if out, err := run(t, "restore", "--data", filepath.Join(h.dir, "data"), file); err == nil || !strings.Contains(out, "not empty") {
		t.Errorf("a restore over a data folder in use: %v: %s", err, out)
	}
	h.must(t, http.StatusOK, "DELETE", h.pool("pool"), desktops, "") // must be back after the restore
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	restored := t.TempDir()
	if out, err := run(t, "restore", "--data", filepath.Join(restored, "data"), file); err != nil {
		t.Fatalf("restore: %v: %s", err, out)
	}
	boot, err := os.ReadFile(h.BootstrapFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(restored, "bootstrap.json"), boot, 0o600); err != nil {
		t.Fatal(err)
	}
	two := &house{dir: restored, tokens: map[string]string{}}
	if two.Service, err = service.Start(t.Context(), service.Options{Binary: binary(t), Dir: restored}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := two.Stop(); err != nil {
			t.Error(err)
		}
	})
	two.http = trusting(t, h.CAFile) // the same CA, which the hosts pin
	if two.TenantID != h.TenantID || two.ClientSecret != h.ClientSecret {
		t.Error("the restored installation has another tenant or secret")
	}
	two.must(t, http.StatusOK, "GET", two.pool("pool"), desktops, "")
	if r := two.register(t, key, machine(1), newKey(t)); r.status != http.StatusOK {
		t.Errorf("the key of before the backup does not hold after the restore: %d %s", r.status, r.body)
	}
}

func TestProbesAndMetricsTellTheTruth(t *testing.T) {
	h := open(t)
	get := func(path string) reply {
		req, err := http.NewRequestWithContext(t.Context(), "GET", h.Endpoint+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := exchange(h.http, req)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		var v struct{ Status string }
		if r := get(path); r.status != http.StatusOK || json.Unmarshal(r.body, &v) != nil || v.Status == "" {
			t.Errorf("%s answers %d %s", path, r.status, r.body)
		}
	}
	metrics := string(get("/metrics").body)
	for _, want := range []string{"process_cpu_seconds_total", "go_goroutines", "deskyard_"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", h.Endpoint+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Forwarded-For", "203.0.113.7") // through a proxy: not on this machine
	if r, err := exchange(h.http, req); err != nil || r.status != http.StatusForbidden {
		t.Errorf("a stranger reads /metrics: %d, %v", r.status, err)
	}
}

func TestSecretsAreNeitherLoggedNorStoredInTheClear(t *testing.T) {
	h := open(t)
	h.makePool(t, "pool")
	key := h.makeKey(t, "pool", "")
	access := h.token(t, h.ClientID, h.ClientSecret)
	if r := h.register(t, key, machine(1), newKey(t)); r.status != http.StatusOK {
		t.Fatalf("register: %d %s", r.status, r.body)
	}
	h.register(t, key+"x", machine(2), newKey(t)) // refusals are logged and audited
	if _, err := h.signIn(t.Context(), h.ClientID, h.ClientSecret+"x"); err == nil {
		t.Error("a wrong secret signs in")
	}
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{
		"client secret": h.ClientSecret, "administrator's password": h.AdminPassword,
		"registration token": key, "its signature": key[strings.LastIndexByte(key, '.')+1:], "its claims": strings.Split(key, ".")[1],
		"access token": access, "its signature part": access[strings.LastIndexByte(access, '.')+1:],
	}
	files := 0
	err := filepath.WalkDir(h.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == h.BootstrapFile {
			return err
		}
		b, err := os.ReadFile(path)
		files++
		for name, s := range secrets {
			if s == "" || strings.Contains(string(b), s) {
				t.Errorf("%s holds the %s", strings.TrimPrefix(path, h.dir), name)
			}
		}
		return err
	})
	if err != nil || files < 5 {
		t.Errorf("%d files were searched, %v", files, err)
	}
	for _, private := range []string{"deskyard.db", "keys"} {
		if st, err := os.Stat(filepath.Join(h.dir, "data", private)); err != nil || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v, %v", private, st.Mode(), err)
		}
	}
}
