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

func TestLibvirtOfAnotherHostIsReachedBySSH(t *testing.T) {
	dir := os.Getenv("DESKYARD_LIBVIRT_SSH")
	if dir == "" {
		t.Skip("no SSH server of the test's own: apt-get install openssh-server and run e2e/drivers/libvirt-run")
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	nobody := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(nobody, []byte("elsewhere ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key, known := "keyfile="+filepath.Join(dir, "client"), "&known_hosts="+filepath.Join(dir, "known_hosts")
	for what, x := range map[string]struct{ uri, says string }{
		"both sides are known":          {"qemu+ssh://root@localhost:2222/system?" + key + known, ""},
		"a host that nobody knows":      {"qemu+ssh://root@localhost:2222/system?" + key + "&known_hosts=" + nobody, "the host's key is in none of"},
		"no known hosts":                {"qemu+ssh://root@localhost:2222/system?" + key + "&known_hosts=" + nobody + ".none", "ssh-keyscan"},
		"a key that nobody knows there": {"qemu+ssh://root@localhost:2222/system?keyfile=" + filepath.Join(dir, "other") + known, "sign in as root"},
		"a socket that is not there":    {"qemu+ssh://root@localhost:2222/system?" + key + known + "&socket=/run/none", "reach the socket /run/none"},
		"a port where nobody listens":   {"qemu+ssh://root@localhost:1/system?" + key + known, "connection refused"},
	} {
		c, err := asked(t, x.uri)
		switch {
		case x.says == "" && (err != nil || c.CPUs < 1):
			t.Errorf("%s: %+v, %v", what, c, err)
		case x.says != "" && (!errors.Is(err, compute.ErrUnreachable) || !strings.Contains(err.Error(), x.says) || !strings.Contains(err.Error(), "connect to qemu+ssh://root@localhost")):
			t.Errorf("%s: %v", what, err)
		}
		t.Logf("%s: %s %v", what, c.Host, err)
	}
}
