//go:build e2e

// Package domain joins a machine that the service makes to an Active Directory domain
// of Samba's, and signs a user of it in over RDP:
//
//	office (namespace)                      this test's namespace
//	┌──────────────────────┐               ┌───────────────────────────────────────────┐
//	│ Samba AD DC, FreeRDP │── 10.9.0.0 ───│ router, service ── bridge 10.0.2.0 ── QEMU │
//	└──────────────────────┘               └───────────────────────────────────────────┘
package domain

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

const (
	size       = "Custom_2_1024"
	admin      = "deskadmin"
	prefix     = "ad"
	vm         = prefix + "-0"
	host       = vm + "." + domainName // joined, it registers by its full name
	joinerName = "joiner"
	joiner     = joinerName + "@" + domainName
	group      = "desks-nsg"

	serviceAddress = "10.0.2.1:8443" // the bridge's, as the machines see it

	// account is what the directory's user is called on the machine, and upn what the
	// directory calls her: no rule makes one of the other.
	account = "alice"
	upn     = "Alice.Liddell@people.example"
)

// story is one installation that the chapters work on in turn.
type story struct {
	*yard.Yard
	dir       string
	dc        *controller
	image     yard.Image
	passwords struct{ local, joiner, user string }
	run       string // the deployment that `sessionhost add` made
	template  string // the file of its template
}

// TestAMachineJoinsADomainWhoseUsersSignInOverRDP tells what issue 3 asks to be seen.
func TestAMachineJoinsADomainWhoseUsersSignInOverRDP(t *testing.T) {
	if !apart(t) {
		return
	}
	s := open(t)
	for _, c := range []struct {
		name string
		run  func(*story, *testing.T)
	}{
		{"a wrong password of the join account is told in seconds", (*story).refused},
		{"so are a unit that does not exist and a domain that nobody answers for", (*story).misjoined},
		{"deployed again with the right one the machine joins and is Available", (*story).joined},
		{"its account is in the organizational unit", (*story).inDirectory},
		{"nobody reaches its desktop until a rule allows it", (*story).opened},
		{"a user of the domain signs in over RDP and is listed by her principal name", (*story).signedIn},
		{"removing the host takes its account out of the directory and leaves nothing", (*story).removed},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.run(s, t) }) {
			t.Fatalf("%s failed; the service's log ends:\n%s", c.name, s.Service.Log(30))
		}
	}
}

// inside says that this process is in a network namespace of its own: it has the
// folder and the image that were made outside, where Debian can be reached.
const inside = "DESKYARD_DOMAIN_INSIDE"

type prepared struct {
	Dir   string
	Image yard.Image
}

// apart runs the test in a network namespace of its own, as another process.
func apart(t *testing.T) (here bool) {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	for _, program := range []string{"samba", "samba-tool", "ldapsearch", "xfreerdp", "xvfb-run", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs samba, samba-ad-provision, ldap-utils, freerdp2-x11, xvfb and nftables: %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "deskyard-domain-") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	image, err := yard.BuildImage(yardtest.Deadline(t, 15*time.Minute), binary(t), filepath.Join(filepath.Dir(binary(t)), "..", "dist", "packages"), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	handed, err := json.Marshal(prepared{dir, image})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "30m")
	cmd.Env = append(os.Environ(), inside+"="+string(handed))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := cmd.Run(); err != nil {
		t.Errorf("in a network namespace of its own: %v; its files are left in %s", err, dir)
		return false
	}
	os.RemoveAll(dir)
	return false
}

func binary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", "deskyard"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// open starts the domain's controller and the installation.
func open(t *testing.T) *story {
	t.Helper()
	var given prepared
	if err := json.Unmarshal([]byte(os.Getenv(inside)), &given); err != nil {
		t.Fatal(err)
	}
	s := &story{dir: given.Dir, image: given.Image}
	s.passwords.local, s.passwords.joiner, s.passwords.user = yardtest.Password(), yardtest.Password(), yardtest.Password()
	ctx := yardtest.Deadline(t, 5*time.Minute)
	if _, err := run(ctx, "ip", "link", "set", "lo", "up"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1\n"), 0); err != nil { // of this namespace
		t.Fatal(err)
	}
	start := time.Now()
	var err error
	if s.dc, err = startController(ctx, s.dir, yardtest.Password(), s.passwords.joiner); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.dc.stop(); err != nil {
			t.Error(err)
		}
	})
	if err := s.dc.createUser(ctx, account, upn, s.passwords.user); err != nil {
		t.Fatal(err)
	}
	t.Logf("the domain %s stands after %.1f s", domainName, time.Since(start).Seconds())
	s.serve(ctx, t)
	return s
}

// serve starts the service with a hypervisor that has bridges, and the network whose
// machines ask the domain's name server.
func (s *story) serve(ctx context.Context, t *testing.T) {
	t.Helper()
	hypervisors := filepath.Join(s.dir, "hypervisors.yaml")
	if err := os.WriteFile(hypervisors, []byte("hypervisors:\n- {name: here, driver: qemu, network: bridge, cpuRatio: 8}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	s.Yard, err = yard.Open(ctx, yard.Options{Binary: binary(t), Dir: s.dir, Agents: serviceAddress, Arguments: []string{"--hypervisors", hypervisors}})
	t.Cleanup(func() { s.end(t) })
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		s.Put(ctx, "Microsoft.Network/virtualNetworks/"+yard.VNet, "2022-07-01", map[string]any{"location": "local", "properties": map[string]any{
			"addressSpace": map[string]any{"addressPrefixes": []string{"10.0.0.0/16"}},
			"subnets":      []any{map[string]any{"name": yard.Subnet, "properties": map[string]any{"addressPrefix": "10.0.2.0/24"}}},
			"dhcpOptions":  map[string]any{"dnsServers": []string{controllerAddress}},
		}}),
		s.Put(ctx, "Microsoft.Network/networkSecurityGroups/"+group, "2022-07-01", map[string]any{"location": "local", "properties": map[string]any{}}),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// end removes the machines, which would outlive the service, and stops it.
func (s *story) end(t *testing.T) {
	if s.Yard == nil || s.Client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if err := s.Clear(ctx); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
