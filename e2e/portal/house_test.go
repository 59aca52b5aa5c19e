//go:build e2e

// Package portal uses the portal as administrators do: in headless Chromium, against the
// real service as a process of its own. Its hypervisor is in memory, and its session hosts
// are machines on paper: the real agent runs on each, with a desktop stack that only says
// who is signed in.
package portal

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/service"
	"github.com/deskyard/deskyard/web"
)

// house is a running service with what the stories are told about.
type house struct {
	*service.Service
	dir    string
	client *service.Client
	keys   string            // SHA-256 of the service's public keys, in base64, with commas: the browser trusts them
	places map[string]string // what pages are about: id by the page's name
	people map[string]login  // who signs in, by first name; "admin" is the first administrator
	hosts  map[string]*host
	group  string
	walk   walk
}

// walk is what differs between the article's walks (walk.mjs): size is the name of one in
// the list, or processors and MiB.
type walk struct {
	Size    any      `json:"size"`
	Network string   `json:"network"`
	Subnet  string   `json:"subnet"`
	Left    []string `json:"left"`
	Within  int64    `json:"within"`
	Told    string   `json:"told"`
	User    *login   `json:"user"`
}

// login is how a person signs in.
type login struct {
	User     string `json:"user"`
	Password string `json:"password"`
	ID       string `json:"id"`
}

// needs skips where what the suite stands on is missing.
func needs(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("needs chromium: run e2e/install-deps chromium")
	}
	if _, err := fs.Stat(web.Files(), "portal.html.gz"); err != nil {
		t.Skip("the portal is not built in: run make web")
	}
}

// open starts a service of the test's own.
func open(t *testing.T) *house {
	t.Helper()
	needs(t)
	h := &house{dir: t.TempDir(), places: map[string]string{}, people: map[string]login{}, hosts: map[string]*host{}, group: group,
		walk: walk{Size: "D2s_v3", Network: "office", Subnet: "desks", Left: []string{"run-0"}, Within: time.Minute.Milliseconds(), Told: "sh-1"}}
	hypervisors := filepath.Join(h.dir, "hypervisors.yaml")
	must(t, os.WriteFile(hypervisors, []byte("hypervisors:\n- {name: here, driver: fake, guest: "+guestProgram(t, h.dir)+"}\n"), 0o600))
	var err error
	h.Service, err = service.Start(t.Context(), service.Options{
		Binary: binary(t), Dir: h.dir, Agents: "127.0.0.1:" + freePort(t), Arguments: []string{"--hypervisors", hypervisors},
	})
	must(t, err)
	t.Cleanup(func() {
		if err := h.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the service's log ends:\n%s", h.Log(20))
		}
	})
	h.client, err = service.NewClient(h.Bootstrap)
	must(t, err)
	must(t, h.client.Do(t.Context(), http.MethodGet, "/portal/", nil, nil)) // a program of before the portal says so
	h.people["admin"] = login{User: h.AdminUser, Password: h.AdminPassword}
	h.keys = h.publicKeys(t)
	h.importImage(t)
	return h
}

// importImage puts an image into the catalogue, of which nothing but its size is looked at:
// the hypervisor is in memory.
func (h *house) importImage(t *testing.T) {
	t.Helper()
	disk := filepath.Join(h.dir, "disk.raw")
	must(t, os.WriteFile(disk, make([]byte, 1<<20), 0o600))
	out, err := exec.CommandContext(t.Context(), binary(t), "image", "import", "--data", h.DataFolder(), "--publisher", "Deskyard", "--offer", "debian-12", "--sku", "desktop",
		"--version", "1.0.0", "--os", "linux", "--provisioning", "deskyard", "--format", "raw", disk).CombinedOutput()
	if err != nil {
		t.Fatalf("import an image: %v: %s", err, out)
	}
}

// binary is the program under test, as `make build` leaves it.
func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("DESKYARD_BIN")
	if path == "" {
		path = filepath.Join("..", "..", "bin", "deskyard")
	}
	abs, err := filepath.Abs(path)
	must(t, err)
	if _, err := os.Stat(abs); err != nil {
		t.Fatalf("%v; run make build", err)
	}
	return abs
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close() //nolint:errcheck // it has served
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// publicKeys are those of the service's certificate and of its authority.
func (h *house) publicKeys(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(h.Endpoint)
	must(t, err)
	authority, err := os.ReadFile(h.CAFile)
	must(t, err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatalf("no certificate in %s", h.CAFile)
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", "127.0.0.1:"+u.Port(), &tls.Config{RootCAs: roots, ServerName: u.Hostname()})
	must(t, err)
	defer conn.Close() //nolint:errcheck // nothing was said
	certificates := conn.ConnectionState().PeerCertificates
	block, _ := pem.Decode(authority)
	ca, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	var keys string
	for _, c := range append(certificates, ca) {
		sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
		keys += "," + base64.StdEncoding.EncodeToString(sum[:])
	}
	return keys[1:]
}

// path is a resource of a provider in the house's resource group.
func (h *house) path(format string, a ...any) string {
	return "/subscriptions/" + h.SubscriptionID + "/resourceGroups/" + group + "/providers/" + fmt.Sprintf(format, a...)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
