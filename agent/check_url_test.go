package agent

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/reverse"
)

// stands is an HTTPS server whose certificate is for a name, of a CA; healthy or not.
func stands(t *testing.T, name string, ca *x509.Certificate, caKey *ecdsa.PrivateKey, status int) string {
	t.Helper()
	leaf, key := issue(t, &x509.Certificate{NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, ca, caKey)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw, ca.Raw}, PrivateKey: key}}}
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func TestAHostThatDoesNotReachAGatewaySaysWhichAndWhatToDo(t *testing.T) {
	year := func() *x509.Certificate {
		return &x509.Certificate{NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	}
	ca, caKey := issue(t, year(), nil, nil)
	other, otherKey := issue(t, year(), nil, nil)
	service := stands(t, reverse.ServerName, ca, caKey, http.StatusOK)
	gateway := stands(t, reverse.GatewayName, ca, caKey, http.StatusOK)
	gone := httptest.NewServer(nil)
	gone.Close()
	closed := strings.Replace(gone.URL, "http:", "https:", 1)
	for _, c := range []struct {
		name     string
		services []string
		gateways []string
		failed   bool
		code     int
		says     []string
	}{
		{"all is well", []string{service}, []string{gateway + "/"}, false, 0, []string{"Reachable: " + service + ", " + gateway}},
		{"there is none", []string{service}, nil, false, 0, []string{service}},
		{"the way is shut", []string{service}, []string{gateway, closed}, true, 3703, []string{"RD Gateway Url: " + closed + "/healthz is not accessible", "refused", "Open the way from this host to the gateway"}},
		{"somebody else's gateway", []string{service}, []string{stands(t, reverse.GatewayName, other, otherKey, http.StatusOK)}, true, 3703, []string{"enrol the gateway"}},
		{"what is no gateway", []string{service}, []string{stands(t, reverse.ServerName, ca, caKey, http.StatusOK)}, true, 3703, []string{"enrol the gateway"}},
		{"a gateway that is not well", []string{service}, []string{stands(t, reverse.GatewayName, ca, caKey, http.StatusBadGateway)}, true, 3703, []string{"HTTP 502"}},
		{"the service is away too", []string{closed}, []string{closed}, true, 0, []string{closed + "/healthz is not reachable"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := checkURLs(t.Context(), Surroundings{BrokerURIs: c.services, CAPin: reverse.PinOf(ca), Expectations: Expectations{Gateways: c.gateways}})
			if f.Failed != c.failed || f.Code != c.code {
				t.Errorf("%+v", f)
			}
			for _, want := range c.says {
				if !strings.Contains(f.Message, want) {
					t.Errorf("%q does not say %q", f.Message, want)
				}
			}
		})
	}
}
