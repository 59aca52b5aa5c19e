package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/durable"
)

func testAuthority(t *testing.T, now func() time.Time) *authority {
	t.Helper()
	a, err := openAuthority(t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func hello(protocols ...string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{SupportedProtos: protocols}
}

func TestTheAuthorityIsTheSameAfterARestart(t *testing.T) {
	dir := t.TempDir()
	first, err := openAuthority(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	second, err := openAuthority(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if first.Pin() != second.Pin() {
		t.Fatal("the pin changed: every session host would be stranded")
	}
	st, err := os.Stat(filepath.Join(dir, "ca-key.pem"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("key file mode %v, %v; want 0600", st.Mode().Perm(), err)
	}
}

func TestALeafIsRenewedWhenAThirdOfItsLifeIsLeft(t *testing.T) {
	now := time.Now()
	a := testAuthority(t, func() time.Time { return now })
	s, err := newCertificates(a, Config{Listen: "127.0.0.1:1", PublicURL: "https://desk.example:8443"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first := s.internal.Load()
	now = now.Add(leafLife/3*2 - 2*time.Hour)
	if err := s.refresh(); err != nil || s.internal.Load() != first {
		t.Fatalf("renewed too early (%v)", err)
	}
	now = now.Add(3 * time.Hour)
	if err := s.refresh(); err != nil || s.internal.Load() == first {
		t.Fatalf("not renewed (%v)", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	for _, name := range []string{"desk.example", "localhost", AgentName} {
		if _, err := s.internal.Load().Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAgentsSeeTheOwnCertificateAndPeopleTheConfiguredOne(t *testing.T) {
	other := testAuthority(t, time.Now)
	cert, key := filepath.Join(t.TempDir(), "c.pem"), filepath.Join(t.TempDir(), "k.pem")
	writePair(t, other, "desk.example", cert, key)
	a := testAuthority(t, time.Now)
	s, err := newCertificates(a, Config{Listen: "127.0.0.1:1", TLSCert: cert, TLSKey: key}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	get := s.config().GetCertificate
	if c, err := get(hello("h2", "http/1.1")); err != nil || c.Leaf.Subject.CommonName != "desk.example" {
		t.Fatalf("people see %v, %v", c.Leaf.Subject, err)
	}
	if c, err := get(hello(agentProtocol, "http/1.1")); err != nil || c.Leaf.VerifyHostname(AgentName) != nil {
		t.Fatalf("agents see %v, %v", c.Leaf.Subject, err)
	}

	writePair(t, other, "renewed.example", cert, key)
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(cert, later, later); err != nil {
		t.Fatal(err)
	}
	if err := s.refresh(); err != nil {
		t.Fatal(err)
	}
	if c, _ := get(hello("h2")); c.Leaf.Subject.CommonName != "renewed.example" {
		t.Fatalf("after renewal people see %v", c.Leaf.Subject)
	}
	if err := os.WriteFile(cert, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	evenLater := later.Add(time.Minute)
	if err := os.Chtimes(cert, evenLater, evenLater); err != nil {
		t.Fatal(err)
	}
	if err := s.refresh(); err == nil {
		t.Fatal("rubbish was accepted")
	}
	if c, _ := get(hello("h2")); c.Leaf.Subject.CommonName != "renewed.example" {
		t.Fatal("a broken renewal took the working certificate away")
	}
}

func writePair(t *testing.T, a *authority, name, cert, key string) {
	t.Helper()
	c, err := a.issue([]string{name})
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
	for path, text := range map[string][]byte{cert: chain, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})} {
		if err := durable.Replace(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCheckTellsEveryFaultAtOnce(t *testing.T) {
	c := Config{Data: "x", Listen: "nonsense", Domain: "Not A Domain", LogLevel: "loud", LogFormat: "text",
		PublicURL: "http://plain", TLSCert: "/nowhere", TrustProxy: []string{"10.0.0.1"}}
	err := c.Check()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"--listen", "--domain", "--log-level", "--public-url", "--tls-cert and --tls-key", "/nowhere", "--trust-proxy"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told of in:\n%v", want, err)
		}
	}
}

func TestCheckFillsInWhatFollows(t *testing.T) {
	c := Config{Data: "/d", Listen: "127.0.0.1:9000", Domain: "a.b", LogLevel: "info", LogFormat: "json"}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if c.PublicURL != "https://localhost:9000" || c.AgentURL[0] != c.PublicURL || c.Database != "sqlite:/d/deskyard.db" || c.Location[0] != "local" {
		t.Fatalf("%+v", c)
	}
}
