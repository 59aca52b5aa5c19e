package agentapi

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/sqlstore"
	"github.com/deskyard/deskyard/token"
)

const poolPath = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.DesktopVirtualization/hostPools/"

// clock is a clock that tests move; it also runs.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// door is a whole agents' door: store, tokens, TLS with a CA of its own.
type door struct {
	*Server
	t       testing.TB
	db      *sqlstore.DB
	minter  *token.Minter
	http    *httptest.Server
	clock   *clock
	caPem   string
	roots   *x509.CertPool
	restart func() // another server on the same store and address
}

func openDoor(t testing.TB, adjust ...func(*Options)) *door {
	t.Helper()
	d := &door{t: t, clock: &clock{}}
	log := slog.New(slog.NewTextHandler(logTo{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if d.db, err = sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "store.db"), Log: log}); err != nil {
		t.Fatal(err)
	}
	leaf, ca := testCA(t)
	d.caPem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}))
	d.roots = x509.NewCertPool()
	d.roots.AddCert(ca)
	var handler atomic.Value
	d.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.Load().(http.Handler).ServeHTTP(w, r)
	}))
	d.http.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	d.http.TLS = &tls.Config{Certificates: []tls.Certificate{leaf}, NextProtos: []string{"http/1.1"}}
	d.http.StartTLS()
	_, signer, _ := ed25519.GenerateKey(rand.Reader)
	pin := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
	d.minter = &token.Minter{Key: signer, BrokerURIs: []string{d.http.URL}, CAPin: base64.RawURLEncoding.EncodeToString(pin[:]), TenantID: "tenant-1"}
	o := Options{
		Store: d.db, Tokens: d.minter, BrokerURIs: []string{d.http.URL}, CAPem: d.caPem, TenantID: "tenant-1",
		ComponentsKey: signer.Public().(ed25519.PublicKey), Log: log, Now: d.clock.now,
	}
	for _, a := range adjust {
		a(&o)
	}
	if d.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	handler.Store(d.Server.Handler())
	d.restart = func() {
		t.Helper()
		d.closeServer()
		if d.Server, err = New(o); err != nil {
			t.Fatal(err)
		}
		handler.Store(d.Server.Handler())
	}
	t.Cleanup(func() {
		d.closeServer()
		d.http.Close()
		if err := d.db.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return d
}

func (d *door) closeServer() {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := d.Server.Close(ctx); err != nil {
		d.t.Errorf("close: %v", err)
	}
}

// logTo writes the service's log to the test's.
type logTo struct{ t testing.TB }

func (l logTo) Write(b []byte) (int, error) {
	if testing.Verbose() {
		l.t.Logf("%s", bytes.TrimSpace(b))
	}
	return len(b), nil
}

func testCA(t testing.TB) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(caDER)
	if err != nil {
		t.Fatal(err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: tmpl.NotBefore, NotAfter: tmpl.NotAfter,
		DNSNames: []string{reverse.ServerName}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, caDER}, PrivateKey: leafKey}, ca
}

// pool stores a host pool; edit may change its properties and tags.
func (d *door) pool(name string, edit func(*deskyard.HostPool, *deskyard.Resource)) deskyard.Resource {
	d.t.Helper()
	props := deskyard.HostPool{HostPoolType: "Pooled", LoadBalancerType: "BreadthFirst", ObjectID: uuid.NewString()}
	r := deskyard.Resource{ID: arm.MustParseID(poolPath + name)}
	if edit != nil {
		edit(&props, &r)
	}
	r.Properties, _ = json.Marshal(props)
	err := d.db.Write(d.t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		var err error
		r, err = tx.PutResource(ctx, r)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

// key stores a registration key of the pool and gives it with its token.
func (d *door) key(pool deskyard.Resource, limits deskyard.KeyLimits) (deskyard.RegistrationKey, string) {
	d.t.Helper()
	props, err := poolProperties(pool)
	if err != nil {
		d.t.Fatal(err)
	}
	now := d.clock.now().UTC().Truncate(time.Second)
	k := deskyard.RegistrationKey{ID: uuid.NewString(), PoolID: pool.ID, Pool: props.ObjectID, CreatedAt: now, ExpiresAt: now.Add(2 * time.Hour), Limits: limits}
	d.putKey(k)
	tok, err := d.minter.Registration(k)
	if err != nil {
		d.t.Fatal(err)
	}
	return k, tok
}

func (d *door) putKey(k deskyard.RegistrationKey) {
	d.t.Helper()
	err := d.db.Write(d.t.Context(), func(ctx context.Context, tx deskyard.Tx) error { return tx.PutRegistrationKey(ctx, k) })
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *door) host(id string) deskyard.SessionHost {
	d.t.Helper()
	h, err := d.db.SessionHostByObjectID(context.Background(), id)
	if err != nil {
		d.t.Fatal(err)
	}
	return h
}

func (d *door) audited(action string) []deskyard.AuditEvent {
	d.t.Helper()
	page, err := d.db.AuditEvents(d.t.Context(), deskyard.AuditQuery{Action: action})
	if err != nil {
		d.t.Fatal(err)
	}
	return page.Items
}

// guest is a machine with a key pair.
type guest struct {
	machine deskyard.Machine
	key     ed25519.PrivateKey
}

func newGuest(name string) *guest {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	return &guest{key: key, machine: deskyard.Machine{
		Hostname: name, MachineID: uuid.NewString(), SMBIOSID: uuid.NewString(), BootID: uuid.NewString(), OS: "linux", Arch: "amd64", OSVersion: "Debian 12",
	}}
}

func (g *guest) request(tok string) reverse.Register {
	m, _ := json.Marshal(g.machine)
	return reverse.Register{Token: tok, Machine: m, PublicKey: g.key.Public().(ed25519.PublicKey), Proof: ed25519.Sign(g.key, reverse.RegisterProof(tok, m))}
}

// post registers and gives the answer, or the code of the refusal.
func (d *door) post(req reverse.Register) (reverse.Registered, int, string) {
	d.t.Helper()
	b, _ := json.Marshal(req)
	return d.postBytes(b)
}

func (d *door) postBytes(b []byte) (out reverse.Registered, status int, code string) {
	d.t.Helper()
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.roots, ServerName: reverse.ServerName}, DisableKeepAlives: true}}
	resp, err := c.Post(d.http.URL+reverse.RegisterPath, "application/json", bytes.NewReader(b))
	if err != nil {
		d.t.Error(err)
		return out, 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Error(err)
	}
	var e struct {
		Error arm.Error `json:"error"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		d.t.Errorf("answer %d %q is not JSON", resp.StatusCode, body)
	}
	if err := json.Unmarshal(body, &out); err != nil {
		d.t.Error(err)
	}
	return out, resp.StatusCode, e.Error.Code
}

func (d *door) mustRegister(g *guest, tok string) reverse.Registered {
	d.t.Helper()
	out, status, code := d.post(g.request(tok))
	if status != 200 || out.HostID == "" {
		d.t.Fatalf("register %s: %d %s", g.machine.Hostname, status, code)
	}
	return out
}

// wantRefused registers and wants a refusal with that code, audited.
func (d *door) wantRefused(g *guest, tok, code string) {
	d.t.Helper()
	if _, status, got := d.post(g.request(tok)); got != code {
		d.t.Fatalf("register %s: %d %q, want %q", g.machine.Hostname, status, got, code)
	}
	if !slices.ContainsFunc(d.audited(registerAction), func(e deskyard.AuditEvent) bool { return e.Code == code && e.CallerType == "Host" }) {
		d.t.Fatalf("the refusal %s was not audited", code)
	}
}
