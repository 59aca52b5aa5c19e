//go:build e2e

package libvirt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/computetest"
)

// pki is a folder of certificates of libvirtd's ("host") or of nobody it knows ("strangers").
func pki(t *testing.T, whose string) string {
	t.Helper()
	dir := os.Getenv("DESKYARD_LIBVIRT_PKI")
	if dir == "" {
		t.Skip("no libvirtd that listens for other hosts: run e2e/drivers/libvirt-run")
	}
	return filepath.Join(dir, whose)
}

// asked is what a host by its URI says of itself.
func asked(t *testing.T, uri string) (compute.Capabilities, error) {
	t.Helper()
	d, err := New(Options{URI: uri, Pool: "dyasked", Folder: filepath.Join(runFolder(t), "dyasked"), Owner: computetest.Owner})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if probed != nil {
		d.accel = probed
	}
	c, err := d.Capabilities(t.Context())
	if err == nil {
		dropPool(t, d.o)
	}
	return c, err
}

func TestLibvirtOfAnotherHostIsReachedEveryWay(t *testing.T) {
	for _, uri := range []string{"qemu+tls://localhost/system?pkipath=" + pki(t, "host"), "qemu://localhost/system?pkipath=" + pki(t, "host"), "qemu+tcp://127.0.0.1/system"} {
		c, err := asked(t, uri)
		if err != nil || c.CPUs < 1 || !strings.Contains(c.Version, "libvirt ") {
			t.Errorf("%s: %+v, %v", uri, c, err)
		}
		if plain := strings.Contains(strings.Join(c.Warnings, ""), "plain TCP"); plain != strings.Contains(uri, "+tcp") {
			t.Errorf("%s is plain TCP: %v", uri, plain)
		}
		t.Logf("%s: %s, %s", uri, c.Host, c.Version)
	}
}

func TestLibvirtOfAnotherHostIsRefusedWithoutTheRightCertificates(t *testing.T) {
	mixed := t.TempDir() // the host's authority, and a certificate that it does not know
	for name, from := range map[string]string{"cacert.pem": "host", "clientcert.pem": "strangers", "clientkey.pem": "strangers"} {
		b, err := os.ReadFile(filepath.Join(pki(t, from), name))
		if err == nil {
			err = os.WriteFile(filepath.Join(mixed, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for what, x := range map[string]struct{ uri, says string }{
		"a host of another authority":   {"qemu+tls://localhost/system?pkipath=" + pki(t, "strangers"), "the host's certificate is not of the authority in"},
		"a service that nobody knows":   {"qemu+tls://localhost/system?pkipath=" + mixed, "the host does not take this service's certificate"},
		"a name that is not the host's": {"qemu+tls://127.0.0.1/system?pkipath=" + pki(t, "host"), "the host's certificate is not for the name 127.0.0.1"},
		"a port where nobody listens":   {"qemu+tls://localhost:1/system?pkipath=" + pki(t, "host"), "connection refused"},
		"a port that is not TLS's":      {"qemu+tls://localhost:16509/system?pkipath=" + pki(t, "host"), "localhost:16509"},
		"a folder without certificates": {"qemu+tls://localhost/system?pkipath=" + t.TempDir(), "cacert.pem: no such file"},
		"no such libvirt there":         {"qemu+tcp://127.0.0.1/elsewhere", "elsewhere"},
	} {
		_, err := asked(t, x.uri)
		if !errors.Is(err, compute.ErrUnreachable) || !strings.Contains(err.Error(), x.says) || !strings.Contains(err.Error(), x.uri) {
			t.Errorf("%s: %v", what, err)
		}
		t.Logf("%s: %v", what, err)
	}
}
