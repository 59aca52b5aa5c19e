package bootloader

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// authority is a CA.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{t: t, key: key}
	a.cert = a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, key)
	return a
}

// issue signs a certificate that was valid years ago, for one hour.
func (a authority) issue(c *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	a.t.Helper()
	c.SerialNumber, c.NotBefore = big.NewInt(1), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	c.NotAfter = c.NotBefore.Add(time.Hour)
	parent := a.cert
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

// serve runs a service whose agents' certificate has that name.
func (a authority) serve(name string) *httptest.Server {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf := a.issue(&x509.Certificate{DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, key)
	pair := &tls.Certificate{Certificate: [][]byte{leaf.Raw, a.cert.Raw}, PrivateKey: key}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) }))
	s.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if !slices.Contains(h.SupportedProtos, agentProtocol) {
			return nil, errors.New("not an agent")
		}
		return &tls.Config{Certificates: []tls.Certificate{*pair}, NextProtos: []string{"http/1.1"}}, nil
	}}
	s.StartTLS()
	a.t.Cleanup(s.Close)
	return s
}

func (a authority) service(urls ...string) Service {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	return Service{BrokerURIs: urls, CAPem: string(ca), ComponentsKey: base64.StdEncoding.EncodeToString(make([]byte, 32))}
}

func TestTheServiceIsKnownByItsOwnCAWhateverTheClockSays(t *testing.T) {
	mine, other := newAuthority(t), newAuthority(t)
	good, alien, misnamed := mine.serve(agentServerName), other.serve(agentServerName), mine.serve("people.example")
	for _, c := range []struct {
		what string
		s    Service
		ok   bool
	}{
		{"the service", mine.service(good.URL), true},
		{"the second address", mine.service("https://127.0.0.1:1", alien.URL, good.URL+"/"), true},
		{"another CA", mine.service(alien.URL), false},
		{"another name", mine.service(misnamed.URL), false},
		{"no CA", Service{BrokerURIs: []string{good.URL}}, false},
		{"no address", mine.service(), false},
	} {
		f := ServiceFetcher{Read: func() (Service, error) { return c.s, nil }}
		body, _, err := f.Fetch(t.Context(), "/x", 0)
		if err == nil {
			b, err := io.ReadAll(body)
			body.Close()
			if string(b) != "/x" || err != nil {
				t.Errorf("%s: %q, %v", c.what, b, err)
			}
		}
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestReadServiceTellsAMachineThatIsNotRegistered(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agent.json")
	if _, err := ReadService(file); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("no file: %v", err)
	}
	write := func(v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(map[string]string{"hostId": "x"})
	if _, err := ReadService(file); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("no key: %v", err)
	}
	write(newAuthority(t).service("https://x"))
	s, err := ReadService(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Key(); err != nil {
		t.Error(err)
	}
	s.ComponentsKey = "short"
	if _, err := s.Key(); err == nil {
		t.Error("a short key was accepted")
	}
}
