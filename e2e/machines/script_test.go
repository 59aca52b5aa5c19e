//go:build e2e

package machines

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

// scriptFile is what the web server hands out.
const scriptFile = `echo "greets $1 from $(hostname)"
exit "$2"
`

// script has the machine fetch a script from a web server of ours by
// CustomScriptExtension, once to a good end and once to a bad one. The machine trusts
// the server as an administrator has it trust one: by the system's own list.
func (h *house) script(t *testing.T) {
	ctx := yardtest.Deadline(t, 5*time.Minute)
	at, authority := serveScript(t)
	// What update-ca-certificates ends with, which takes minutes under emulation.
	trust := "cat >/etc/ssl/certs/story.pem <<'END'\n" + authority + "END\necho trusted"
	if said, err := h.inside(ctx, "wz-0", trust); err != nil || !strings.Contains(said, "trusted") {
		t.Fatalf("the machine does not trust the web server: %q, %v", said, err)
	}
	for _, c := range []struct {
		what, uri, command string
		state, code, says  string
		output             string
	}{
		{"a script that ends well", at, "sh greet.sh world 0", "Succeeded", "ProvisioningState/succeeded", "", "greets world from wz-0"},
		{"a script that ends with 7", at, "sh greet.sh nobody 7", "Failed", "ProvisioningState/failed/CommandFailed", "exit code 7", "greets nobody from wz-0"},
		{"a file that is not there", at + ".missing", "true", "Failed", "ProvisioningState/failed/DownloadFailed", "HTTP 404", ""},
		{"an address that is not https", "http" + strings.TrimPrefix(at, "https"), "true", "Failed", "ProvisioningState/failed/DownloadFailed", "https://HOST/PATH", ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			status, output := h.extension(ctx, t, map[string]any{"fileUris": []string{c.uri}}, map[string]any{"commandToExecute": c.command}, c.state)
			if status.Code != c.code || !strings.Contains(status.Message, c.says) {
				t.Errorf("the instance view says %q %q, want %q with %q", status.Code, status.Message, c.code, c.says)
			}
			if !strings.Contains(output, c.output) {
				t.Errorf("the instance view has the output %q, want %q", output, c.output)
			}
		})
	}
}

// instanceStatus is one line of an instance view.
type instanceStatus struct{ Code, Message string }

// extension asks for the custom script extension, waits for its end, and returns what
// the machine's instance view has of it.
func (h *house) extension(ctx context.Context, t *testing.T, settings, secrets map[string]any, want string) (status instanceStatus, output string) {
	t.Helper()
	const name = "Microsoft.Compute/virtualMachines/wz-0/extensions/script"
	err := h.Put(ctx, name, "2024-07-01", map[string]any{"location": "local", "properties": map[string]any{
		"publisher": "Microsoft.Compute", "type": "CustomScriptExtension", "typeHandlerVersion": "1.10",
		"settings": settings, "protectedSettings": secrets,
	}})
	if err != nil {
		t.Fatal(err)
	}
	h.until(ctx, t, "the extension ends", func() bool {
		var e struct {
			Properties struct{ ProvisioningState string }
		}
		if err := h.Get(ctx, name, "2024-07-01", &e); err != nil {
			t.Fatal(err)
		}
		state := e.Properties.ProvisioningState
		if (state == "Succeeded" || state == "Failed") && state != want {
			t.Errorf("the extension is %s, want %s", state, want)
		}
		return state == "Succeeded" || state == "Failed"
	})
	var vm struct {
		Properties struct {
			InstanceView struct {
				Extensions []struct {
					Name                  string
					Statuses, Substatuses []instanceStatus
				}
			}
		}
	}
	if err := h.Client.Do(ctx, http.MethodGet, h.ID("Microsoft.Compute/virtualMachines/wz-0")+"?api-version=2024-07-01&$expand=instanceView", nil, &vm); err != nil {
		t.Fatal(err)
	}
	for _, e := range vm.Properties.InstanceView.Extensions {
		if e.Name != "script" {
			continue
		}
		for _, s := range e.Statuses {
			status = s
		}
		for _, s := range e.Substatuses {
			output += s.Message
		}
	}
	return status, output
}

// until looks twice a second whether something has come true.
func (h *house) until(ctx context.Context, t *testing.T, what string, true func() bool) {
	t.Helper()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for !true() {
		select {
		case <-ctx.Done():
			t.Fatalf("wait until %s: %v", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// serveScript is a web server with a certificate of its own, at the address that
// guests see this machine's loopback under. It returns the script's address and the
// certificate as PEM.
func serveScript(t *testing.T) (address, authority string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "scripts"}, IPAddresses: []net.IP{net.IPv4(10, 0, 2, 2)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/files/greet.sh" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, scriptFile)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "https://10.0.2.2:" + port + "/files/greet.sh", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
