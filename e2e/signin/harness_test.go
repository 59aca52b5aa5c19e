//go:build e2e

// Package signin lets people of the service's directory sign in to a machine for
// real: the service, the Debian packages with the boot loader in a Debian 12 of its
// own, and PAM there. The machine is a folder (chroot) instead of a guest, which lets
// the story run in seconds; what a hypervisor adds is not in question here.
package signin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/e2e/service"
	"github.com/deskyard/deskyard/server"
)

// output is a log that is read while it is written.
type output struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// yard is a service and a machine that it knows.
type yard struct {
	t       *testing.T
	dir     string
	config  server.Config
	log     output
	stop    func()
	boot    service.Bootstrap
	client  *service.Client
	vm      arm.ResourceID
	id      string // of the machine
	machine *machine
}

func open(t *testing.T) *yard {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for chroot")
	}
	y := &yard{t: t, dir: t.TempDir(), id: uuid.NewString()}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	y.must(err)
	y.must(l.Close())
	y.config = server.Config{
		Data: filepath.Join(y.dir, "data"), Listen: l.Addr().String(), Bootstrap: filepath.Join(y.dir, "bootstrap.json"),
		AgentURL: []string{"https://" + l.Addr().String()}, Subscription: "Yard", Domain: "yard.example", Hypervisors: "none",
		LogLevel: "info", LogFormat: "text", DrainFor: 5 * time.Second, Components: y.dir,
	}
	y.must(y.config.Check())
	y.serve()
	t.Cleanup(func() { y.stop() })
	y.client, err = service.NewClient(y.boot)
	y.must(err)
	rg := arm.ResourceID{Subscription: y.boot.SubscriptionID, ResourceGroup: "rg"}
	y.vm = rg.Provider("Microsoft.Compute", "virtualMachines", "desk-1")
	y.must(y.client.CreateGroup(t.Context(), "rg"))
	y.machine = newMachine(t)
	y.invite()
	return y
}

func (y *yard) must(err error) {
	y.t.Helper()
	if err != nil {
		y.t.Fatal(err)
	}
}

// serve runs the service until stop is called.
func (y *yard) serve() {
	y.t.Helper()
	y.must(os.RemoveAll(y.config.Bootstrap))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, y.config, "1.0.0", slog.New(slog.NewTextHandler(&y.log, nil)))
	}()
	y.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			y.t.Error(err)
		}
	})
	y.await("the service", func() bool {
		b, err := os.ReadFile(y.config.Bootstrap)
		return err == nil && json.Unmarshal(b, &y.boot) == nil
	})
}

func (y *yard) await(what string, ok func() bool) {
	y.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			y.t.Fatalf("never seen: %s\nthe service's log:\n%s\nthe boot loader's:\n%s", what, &y.log, &y.machine.log)
		}
	}
}

// invite makes the service know the machine as one that it made, and leaves the
// invitation where cloud-init would.
func (y *yard) invite() {
	y.t.Helper()
	ctx, token := y.t.Context(), uuid.NewString()
	db, err := service.OpenStore(ctx, filepath.Join(y.config.Data, "deskyard.db"))
	y.must(err)
	hash := sha256.Sum256([]byte(token))
	ca, err := os.ReadFile(y.boot.CAFile)
	y.must(err)
	i := deskyard.Invitation{MachineID: y.id, Token: token, URLs: y.config.AgentURL, CAPem: string(ca), Expires: time.Now().Add(time.Hour)}
	err = db.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.PutResource(ctx, deskyard.Resource{ID: y.vm, Envelope: arm.Envelope{Location: "local"},
			Properties: json.RawMessage(`{"vmId":"` + y.id + `","provisioningState":"Succeeded"}`)})
		if err == nil {
			_, err = tx.PutGuest(ctx, deskyard.Guest{MachineID: y.id, VM: y.vm, TokenHash: hash[:], TokenExpires: i.Expires})
		}
		return err
	})
	y.must(errors.Join(err, db.Close()))
	b, err := json.Marshal(i)
	y.must(err)
	y.machine.write("etc/deskyard/invitation.json", string(b), 0o600)
	y.machine.write("sys/class/dmi/id/product_uuid", y.id+"\n", 0o400)
	y.machine.write("etc/machine-id", strings.ReplaceAll(y.id, "-", "")+"\n", 0o444)
}

// person makes a user, and gives a role at the machine unless that is "".
func (y *yard) person(upn, role string) (objectID string) {
	y.t.Helper()
	var u struct{ ID string }
	y.must(y.client.Do(y.t.Context(), "POST", "/graph/v1.0/users", map[string]any{
		"userPrincipalName": upn, "displayName": upn, "accountEnabled": true, "passwordProfile": map[string]any{"password": password},
	}, &u))
	if role != "" {
		y.must(y.client.Do(y.t.Context(), "PUT", y.vm.String()+"/providers/Microsoft.Authorization/roleAssignments/"+uuid.NewString()+"?api-version=2022-04-01", map[string]any{
			"properties": map[string]any{
				"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/" + role, "principalId": u.ID, "principalType": "User",
			},
		}, nil))
	}
	return u.ID
}

// join runs the extension that joins the machine to the directory.
func (y *yard) join() {
	y.t.Helper()
	path := y.vm.String() + "/extensions/AADLoginForWindows?api-version=2024-07-01"
	y.must(y.client.Do(y.t.Context(), "PUT", path, map[string]any{"location": "local", "properties": map[string]any{
		"publisher": "Microsoft.Azure.ActiveDirectory", "type": "AADLoginForWindows", "typeHandlerVersion": "1.0", "settings": map[string]any{},
	}}, nil))
	state := ""
	y.await("the extension's end", func() bool {
		var x struct {
			Properties struct{ ProvisioningState string }
		}
		y.must(y.client.Do(y.t.Context(), "GET", path, nil, &x))
		state = x.Properties.ProvisioningState
		return state == "Succeeded" || state == "Failed"
	})
	if state != "Succeeded" {
		y.t.Fatalf("the join is %s; the boot loader's log:\n%s", state, &y.machine.log)
	}
}

// apart runs a shell command in the machine with a network of its own, where nothing
// else listens; what it reads comes over its input. xrdp's programs find each other over
// IPv6, which the C library's AI_ADDRCONFIG takes for there with an address beside ::1.
func (m *machine) apart(command, input string) (string, error) {
	m.t.Helper()
	cmd := exec.Command("unshare", "--net", "sh", "-c", `ip link set lo up && ip addr add fd00::1/128 dev lo && exec chroot "$0" sh -c "$1"`, m.dir, command)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// machine is a Debian 12 without systemd in a folder.
type machine struct {
	t    *testing.T
	dir  string
	log  output
	stop func()
}

// base makes the file system that machines are copied from.
func base(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("needs mmdebstrap: apt-get install mmdebstrap")
	}
	tar := filepath.Join(os.TempDir(), "deskyard-signin-xrdp-bookworm.tar")
	if info, err := os.Stat(tar); err == nil && time.Since(info.ModTime()) < 7*24*time.Hour {
		return tar
	}
	out, err := exec.Command("mmdebstrap", "--variant=minbase", "--include=debconf,init-system-helpers,pamtester,sudo,xrdp,openssh-server,openssh-client", "bookworm", tar+".new.tar").CombinedOutput()
	if err != nil {
		t.Fatalf("mmdebstrap: %v\n%s", err, out)
	}
	if err := os.Rename(tar+".new.tar", tar); err != nil {
		t.Fatal(err)
	}
	return tar
}

// bootLoader packs the boot loader of this tree.
func bootLoader(t *testing.T) string {
	t.Helper()
	out := t.TempDir()
	cmd := exec.Command("go", "run", ".", "-version", "1.0.0", "-out", out, "-only", "bootloader", "-arch", "amd64")
	cmd.Dir = filepath.Join("..", "..", "packaging")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pack the boot loader: %v\n%s", err, text)
	}
	return filepath.Join(out, "deskyard-bootloader_1.0.0_amd64.deb")
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir()}
	tar, deb := base(t), bootLoader(t)
	for _, line := range [][]string{
		{"tar", "-C", m.dir, "-xf", tar, "--exclude=./dev/*"},
		{"mount", "-t", "proc", "proc", filepath.Join(m.dir, "proc")},
		{"cp", deb, filepath.Join(m.dir, "bootloader.deb")},
	} {
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line[0], err, out)
		}
		if line[0] == "mount" {
			t.Cleanup(func() {
				if out, err := exec.Command("umount", filepath.Join(m.dir, "proc")).CombinedOutput(); err != nil {
					t.Errorf("umount: %v\n%s", err, out)
				}
			})
		}
	}
	host, err := os.Hostname() // which a chroot shares
	if err != nil {
		t.Fatal(err)
	}
	m.write("etc/hosts", "127.0.0.1\tlocalhost "+host+"\n::1\tlocalhost\n", 0o644)
	m.write("dev/null", "", 0o666)
	m.write("etc/pam.d/desk", "@include common-auth\n@include common-account\n", 0o644)
	return m
}

func (m *machine) write(name, text string, mode os.FileMode) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		m.t.Fatal(err)
	}
}

// try runs a shell command in the machine; what it reads comes over its input.
func (m *machine) try(command, input string) (string, error) {
	m.t.Helper()
	cmd := exec.Command("chroot", m.dir, "sh", "-c", command)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"}
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m *machine) do(command string) string {
	m.t.Helper()
	out, err := m.try(command, "")
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return strings.TrimSpace(out)
}

// run starts the boot loader.
func (m *machine) run() {
	m.t.Helper()
	cmd := exec.Command("chroot", m.dir, "/opt/deskyard/bootloader/current/deskyard-bootloader", "run")
	cmd.Stdout, cmd.Stderr = &m.log, &m.log
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.stop = sync.OnceFunc(func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
			m.t.Errorf("boot loader ended: %v\n%s", err, &m.log)
		}
	})
	m.t.Cleanup(m.stop)
}

// signIn asks PAM as a program of the machine does, authentication and account, and
// gives what it said.
func (m *machine) signIn(user, password string) (said string, in bool) {
	m.t.Helper()
	out, err := m.try(fmt.Sprintf("pamtester -v desk '%s' authenticate acct_mgmt", user), password+"\n")
	return out, err == nil
}
