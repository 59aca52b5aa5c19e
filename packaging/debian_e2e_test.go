//go:build e2e

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deskyard/deskyard/bootloader"
)

// The packages are installed for real, in a Debian 12 of their own: run this as root
// with mmdebstrap installed,
//
//	go test -tags e2e -timeout 15m .

const (
	goodKey  = "eyJhbGciOiJFZERTQSJ9.eyJ0ZXN0Ijoia2V5In0.c2lnbmF0dXJl"
	otherKey = "eyJhbGciOiJFZERTQSJ9.eyJvdGhlciI6ImtleSJ9.c2lnbmF0dXJl"
)

// packages builds the packages of two versions, once for all tests.
func packages(t *testing.T) string {
	t.Helper()
	out := t.TempDir()
	for _, v := range []string{"1.0.0", "1.1.0"} {
		if err := run(v, out, "amd64", "agent,bootloader", false); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// machine is a Debian 12 without systemd running, in a folder.
type machine struct {
	t   *testing.T
	dir string
}

// base makes the file system that machines are copied from.
func base(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for chroot")
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("needs mmdebstrap: apt-get install mmdebstrap")
	}
	tar := filepath.Join(os.TempDir(), "deskyard-packaging-bookworm.tar")
	if info, err := os.Stat(tar); err == nil && time.Since(info.ModTime()) < 7*24*time.Hour {
		return tar
	}
	out, err := exec.Command("mmdebstrap", "--variant=minbase", "--include=debconf,init-system-helpers", "bookworm", tar+".new.tar").CombinedOutput()
	if err != nil {
		t.Fatalf("mmdebstrap: %v\n%s", err, out)
	}
	if err := os.Rename(tar+".new.tar", tar); err != nil {
		t.Fatal(err)
	}
	return tar
}

func newMachine(t *testing.T, tar, debs string) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir()}
	if out, err := exec.Command("tar", "-C", m.dir, "-xf", tar, "--exclude=./dev/*").CombinedOutput(); err != nil {
		t.Fatalf("unpack: %v\n%s", err, out)
	}
	// A plain file in place of the device is enough for scripts that discard output.
	if err := os.WriteFile(filepath.Join(m.dir, "dev", "null"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", debs, filepath.Join(m.dir, "debs")).CombinedOutput(); err != nil {
		t.Fatalf("copy packages: %v\n%s", err, out)
	}
	return m
}

// try runs a shell command in the machine, with additions to its environment.
func (m *machine) try(command string, env ...string) (string, error) {
	m.t.Helper()
	cmd := exec.Command("chroot", m.dir, "sh", "-c", command)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"}, env...)
	out, err := cmd.CombinedOutput()
	if bytes.Contains(out, []byte(goodKey)) || bytes.Contains(out, []byte(otherKey)) {
		m.t.Errorf("the key is printed by %s:\n%s", command, out)
	}
	return string(out), err
}

func (m *machine) do(command string, env ...string) string {
	m.t.Helper()
	out, err := m.try(command, env...)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

func (m *machine) install(name, version string, env ...string) string {
	m.t.Helper()
	return m.do(fmt.Sprintf("dpkg -i /debs/deskyard-%s_%s_amd64.deb", name, version), env...)
}

func (m *machine) wantKey(key string) {
	m.t.Helper()
	path := filepath.Join(m.dir, "etc/deskyard/registration-token")
	b, err := os.ReadFile(path)
	if key == "" {
		if err == nil {
			m.t.Errorf("a key file is there")
		}
		return
	}
	if err != nil || strings.TrimSpace(string(b)) != key {
		m.t.Errorf("key file holds something else, or nothing (%v)", err)
		return
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		m.t.Errorf("key file has mode %v, %v", info.Mode(), err)
	}
}

func (m *machine) wantCurrent(component, version string) {
	m.t.Helper()
	if got, err := os.Readlink(filepath.Join(m.dir, "opt/deskyard", component, "current")); got != version {
		m.t.Errorf("current %s is %q (%v), not %s", component, got, err, version)
	}
}

// noKeyAnywhere searches what an installation writes for the key.
func (m *machine) noKeyAnywhere(key string) {
	m.t.Helper()
	part := strings.Split(key, ".")[1]
	if out, err := m.try("grep -rl " + part + " /var /run /tmp /root /opt"); err == nil {
		m.t.Errorf("the key is in %s", out)
	}
}

func TestDebianPackages(t *testing.T) {
	tar, debs := base(t), packages(t)
	for name, test := range map[string]func(*testing.T, *machine){
		"TheKeyComesFromTheEnvironment":                     keyFromEnvironment,
		"TheKeyComesFromDebconfAndLeavesIt":                 keyFromDebconf,
		"TheKeyFileThatIsThereStays":                        keyFromFile,
		"ABadKeyIsRefusedBeforeAnythingChanges":             badKey,
		"EitherOrderOfInstallationWorks":                    eitherOrder,
		"AnUpgradeKeepsTheVersionBefore":                    upgrade,
		"PurgeLeavesNothing":                                purge,
		"AnUpgradeOfARunningBootLoaderKeepsTheAgentRunning": liveUpgrade,
	} {
		t.Run(name, func(t *testing.T) { test(t, newMachine(t, tar, debs)) })
	}
}

func keyFromEnvironment(t *testing.T, m *machine) {
	m.install("agent", "1.0.0", "REGISTRATIONTOKEN= "+goodKey+"\n")
	m.wantKey(goodKey)
	m.wantCurrent("agent", "1.0.0")
	m.noKeyAnywhere(goodKey)
	m.install("agent", "1.0.0", "REGISTRATIONTOKEN="+goodKey) // again: the same
	m.wantKey(goodKey)
	m.install("agent", "1.0.0", "REGISTRATIONTOKEN=INVALID_TOKEN")
	m.wantKey(goodKey)
	m.install("agent", "1.0.0", "REGISTRATIONTOKEN="+otherKey) // re-armed
	m.wantKey(otherKey)
}

func keyFromDebconf(t *testing.T, m *machine) {
	m.do("echo 'deskyard-agent deskyard-agent/registration-token password " + goodKey + "' | debconf-set-selections")
	m.install("agent", "1.0.0")
	m.wantKey(goodKey)
	m.noKeyAnywhere(goodKey)
}

func keyFromFile(t *testing.T, m *machine) {
	m.do("mkdir -p /etc/deskyard && cat >/etc/deskyard/registration-token <<EOF\n" + goodKey + "\nEOF\nchmod 644 /etc/deskyard/registration-token")
	m.install("agent", "1.0.0")
	m.wantKey(goodKey)
	bad := newMachine(t, base(t), filepath.Join(m.dir, "debs"))
	bad.do("mkdir -p /etc/deskyard && echo half a key >/etc/deskyard/registration-token")
	if out, err := bad.try("dpkg -i /debs/deskyard-agent_1.0.0_amd64.deb"); err == nil || !strings.Contains(out, "exit status 65") {
		t.Errorf("a key file without a key: %v\n%s", err, out)
	}
	none := newMachine(t, base(t), filepath.Join(m.dir, "debs"))
	none.install("agent", "1.0.0")
	none.wantKey("")
	none.wantCurrent("agent", "1.0.0")
}

func badKey(t *testing.T, m *machine) {
	for _, key := range []string{"nonsense", "a.b", "a.b.c.d", "a..c", "a.b.c d", "a.b.c\nd.e.f", "a.b.$(id)", strings.Repeat("x", 20000) + ".b.c"} {
		out, err := m.try("dpkg -i /debs/deskyard-agent_1.0.0_amd64.deb", "REGISTRATIONTOKEN="+key)
		if err == nil || !strings.Contains(out, "exit status 65") || !strings.Contains(out, "not a token on a single line") {
			t.Errorf("%.20q: %v\n%s", key, err, out)
		}
		if _, err := os.Stat(filepath.Join(m.dir, "opt/deskyard")); err == nil {
			t.Errorf("%.20q: something was installed", key)
		}
	}
	m.install("agent", "1.0.0", "REGISTRATIONTOKEN="+goodKey)
	m.wantKey(goodKey)
}

func eitherOrder(t *testing.T, m *machine) {
	m.install("bootloader", "1.0.0")
	m.install("agent", "1.0.0", "REGISTRATIONTOKEN="+goodKey)
	other := newMachine(t, base(t), filepath.Join(m.dir, "debs"))
	other.install("agent", "1.0.0", "REGISTRATIONTOKEN="+goodKey)
	other.install("bootloader", "1.0.0")
	for _, m := range []*machine{m, other} {
		m.wantCurrent("agent", "1.0.0")
		m.wantCurrent("bootloader", "1.0.0")
		list := m.do("deskyard-bootloader list")
		if !strings.Contains(list, "Infrastructure Agent  agent") || !strings.Contains(list, "Boot Loader") {
			t.Errorf("list:\n%s", list)
		}
		if out := m.do("ls -l /etc/systemd/system/multi-user.target.wants/deskyard-bootloader.service"); !strings.Contains(out, "/lib/systemd/system/deskyard-bootloader.service") {
			t.Errorf("not enabled: %s", out)
		}
		if out := m.do("dpkg --audit; dpkg --verify deskyard-agent deskyard-bootloader"); out != "" {
			t.Errorf("dpkg finds fault:\n%s", out)
		}
	}
}

func upgrade(t *testing.T, m *machine) {
	m.install("bootloader", "1.0.0")
	m.install("agent", "1.0.0", "REGISTRATIONTOKEN="+goodKey)
	m.install("agent", "1.1.0")
	m.install("bootloader", "1.1.0")
	for _, c := range []string{"agent", "bootloader"} {
		m.wantCurrent(c, "1.1.0")
		m.do("test -x /opt/deskyard/" + c + "/1.0.0/deskyard-" + c)
	}
	m.wantKey(goodKey)
	// What the boot loader brought since is newer: an older package must not undo it.
	m.do("cp -a /opt/deskyard/agent/1.1.0 /opt/deskyard/agent/2.0.0 && ln -sfn 2.0.0 /opt/deskyard/agent/current")
	m.install("agent", "1.1.0")
	m.wantCurrent("agent", "2.0.0")
}

func purge(t *testing.T, m *machine) {
	m.do("find / -xdev -path /proc -prune -o -print | sort >/debs/before")
	m.install("agent", "1.0.0", "REGISTRATIONTOKEN="+goodKey)
	m.install("bootloader", "1.0.0")
	m.do("mkdir -p /opt/deskyard/sxs-stack/1 /var/lib/deskyard/bootloader && echo '{}' >/var/lib/deskyard/agent.json")
	m.do("dpkg -r deskyard-agent deskyard-bootloader")
	m.do("test -e /var/lib/deskyard/agent.json && test ! -e /opt/deskyard") // the identity survives a removal
	m.do("dpkg -P deskyard-agent deskyard-bootloader")
	m.noKeyAnywhere(goodKey)
	left := m.do("find / -xdev -path /proc -prune -o -print | sort | grep -vxFf /debs/before | grep -v -e ^/var/lib/dpkg -e ^/var/cache/debconf -e ^/debs -e ^/var/log || true")
	if left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}

// component asks the running boot loader for one component.
func (m *machine) component(name string) (c bootloader.Component, err error) {
	out, err := m.try("deskyard-bootloader status --json")
	if err != nil {
		return c, fmt.Errorf("%w: %s", err, out)
	}
	var status bootloader.Status
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return c, err
	}
	c, _ = status.Component(name)
	return c, nil
}

func (m *machine) await(what, name string, ok func(bootloader.Component) bool) bootloader.Component {
	m.t.Helper()
	var c bootloader.Component
	var err error
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if c, err = m.component(name); err == nil && ok(c) {
			return c
		}
	}
	m.t.Fatalf("never seen: %s; last %+v, %v", what, c, err)
	return c
}

func liveUpgrade(t *testing.T, m *machine) {
	if out, err := exec.Command("mount", "-t", "proc", "proc", filepath.Join(m.dir, "proc")).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v %s", err, out)
	}
	m.install("bootloader", "1.0.0")
	loader := exec.Command("chroot", m.dir, "/opt/deskyard/bootloader/current/deskyard-bootloader", "run")
	var log bytes.Buffer
	loader.Stdout, loader.Stderr = &log, &log
	if err := loader.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := loader.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := loader.Wait(); err != nil || t.Failed() {
			t.Errorf("boot loader ended with %v:\n%s", err, log.String())
		}
		if out, err := exec.Command("umount", filepath.Join(m.dir, "proc")).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	}()
	m.await("boot loader up", "bootloader", func(c bootloader.Component) bool { return c.Version == "1.0.0" })
	m.install("agent", "1.0.0") // while it runs, and without a key: the agent waits for one
	agent := m.await("agent started", "agent", func(c bootloader.Component) bool { return c.PID != 0 })
	m.install("bootloader", "1.1.0")
	self := m.await("boot loader replaced", "bootloader", func(c bootloader.Component) bool { return c.Version == "1.1.0" && c.State == bootloader.Running })
	if self.PID != loader.Process.Pid {
		t.Errorf("boot loader is process %d, was %d", self.PID, loader.Process.Pid)
	}
	after := m.await("agent known", "agent", func(c bootloader.Component) bool { return c.PID != 0 })
	if after.PID != agent.PID {
		t.Errorf("agent was restarted: process %d, was %d", after.PID, agent.PID)
	}
}
