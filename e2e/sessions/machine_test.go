//go:build e2e

package sessions

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/join"
)

// Addresses on the yard's network.
const (
	houseIP  = "10.77.0.1" // the service and the gateway
	hostIP   = "10.77.0.10"
	clientIP = "10.77.0.20"
)

// place is a network of its own, with one interface on the yard's bridge.
type place struct {
	name string
	pid  string // of a process in it
	port string // the bridge's end of its interface
	wire wire
}

// inside is a command in that network.
func (p *place) inside(args ...string) []string {
	return append([]string{"nsenter", "-t", p.pid, "-n"}, args...)
}

// network makes the yard's bridge; the house is on it.
func network(t *testing.T) {
	t.Helper()
	run(t, "ip", "link", "set", "lo", "up")
	run(t, "ip", "link", "add", "yard", "type", "bridge", "forward_delay", "0")
	run(t, "ip", "address", "add", houseIP+"/24", "dev", "yard")
	run(t, "ip", "link", "set", "yard", "up")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "yard").Run() }) // it ends with the namespace at the latest
}

// clients is the network that people sit in.
func clients(t *testing.T) *place {
	t.Helper()
	c := exec.Command("unshare", "-n", "--kill-child", "-f", "sleep", "infinity")
	pid := start(t, c)
	if err := until(t.Context(), 10*time.Second, func() bool { return child(pid) != "" }); err != nil {
		t.Fatal(err)
	}
	return joinYard(t, "client", child(pid), clientIP)
}

// machine is the session host: systemd in namespaces of its own.
type machine struct {
	*place
	init string // its first process, as this machine numbers it
	logs string
}

// boot starts it.
func boot(t *testing.T, dir string) *machine {
	t.Helper()
	for _, program := range []string{"xrdp", "xrdp-sesman", "xterm", "openbox", "xfreerdp", "Xvfb", "/lib/systemd/systemd"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs " + program + ": run e2e/install-deps xrdp xorgxrdp xterm openbox x11-xserver-utils x11-utils systemd dbus libpam-systemd xdotool")
		}
	}
	folder := filepath.Join(dir, "machine")
	must(t, os.Mkdir(folder, 0o755))
	group := fmt.Sprintf("deskyard-sessions-%d", os.Getpid())
	script, err := filepath.Abs("machine")
	must(t, err)
	// A control group of its own is what the machine takes for the root of all.
	c := exec.Command("sh", "-c", `for g in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
			[ -e "$g/cgroup.procs" ] || continue
			mkdir -p "$g/$0" && echo $$ >"$g/$0/cgroup.procs"
		done
		exec unshare -nmuC --propagation private "$1" "$2" sh-0`, group, script, folder)
	out, err := c.StdoutPipe()
	must(t, err)
	t.Cleanup(func() { // after the machine has ended
		for _, g := range []string{"systemd", "unified", ""} {
			folder := filepath.Join("/sys/fs/cgroup", g, group)
			err := until(context.WithoutCancel(t.Context()), 5*time.Second, func() bool { // its processes end one by one
				_ = exec.Command("find", folder, "-depth", "-type", "d", "-delete").Run() // where there is such a hierarchy
				_, err := os.Stat(folder)
				return errors.Is(err, fs.ErrNotExist)
			})
			if err != nil {
				t.Logf("the control group %s is left", folder)
			}
		}
	})
	pid := start(t, c)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "booting\n" {
		t.Fatalf("the machine does not boot: %q %v", line, err)
	}
	m := &machine{place: joinYard(t, "host", fmt.Sprint(pid), hostIP)}
	must(t, until(t.Context(), 10*time.Second, func() bool { m.init = child(pid); return m.init != "" }))
	t.Cleanup(func() { m.lastWords(t) })
	m.await(t, "the machine is up", 20*time.Second, "systemctl is-active yard.target")
	return m
}

// lastWords shows its logs after a failure.
func (m *machine) lastWords(t *testing.T) {
	if !t.Failed() {
		return
	}
	out, err := m.try(context.WithoutCancel(t.Context()), "systemctl list-jobs; systemctl --failed; journalctl --no-pager -n 60 -o cat; tail -n 30 /var/log/xrdp.log /var/log/xrdp-sesman.log")
	t.Logf("--- host\n%s %v", out, err)
}

// shell is a command on the machine, as root.
func (m *machine) shell(ctx context.Context, script string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", "-t", m.init, "-m", "-n", "-p", "-u", "-C", "-r", "-w", "bash", "-c", script)
}

// sh runs a command there, within a minute, and gives what it prints.
func (m *machine) sh(t *testing.T, script string) string {
	t.Helper()
	out, err := m.try(t.Context(), script)
	if err != nil {
		t.Fatalf("on the host, %s: %v %s", script, err, out)
	}
	return strings.TrimSpace(out)
}

func (m *machine) try(ctx context.Context, script string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := m.shell(ctx, script).CombinedOutput()
	return string(out), err
}

// await waits until a command there succeeds.
func (m *machine) await(t *testing.T, what string, within time.Duration, script string) {
	t.Helper()
	var last string
	err := until(t.Context(), within, func() bool {
		var err error
		last, err = m.try(t.Context(), script)
		return err == nil
	})
	if err != nil {
		t.Fatalf("never seen: %s; the last answer was %s", what, last)
	}
}

// put writes a file there.
func (m *machine) put(t *testing.T, path, mode, text string) {
	t.Helper()
	c := m.shell(t.Context(), "cat >"+path+" && chmod "+mode+" "+path)
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("write %s: %v %s", path, err, out)
	}
}

// install makes it a session host, with two packages and the key as the documentation
// says.
func (m *machine) install(t *testing.T, packages, key string) {
	t.Helper()
	debs, err := join.FindPackages(packages)
	must(t, err)
	for path, local := range map[string]string{"/root/agent.deb": debs.Agent, "/root/bootloader.deb": debs.BootLoader} {
		b, err := os.ReadFile(local)
		must(t, err)
		m.put(t, path, "0600", string(b))
	}
	m.put(t, "/run/key", "0600", key)
	m.sh(t, "export DEBIAN_FRONTEND=noninteractive; REGISTRATIONTOKEN=$(cat /run/key) dpkg -i /root/agent.deb && rm /run/key && dpkg -i /root/bootloader.deb")
	m.sh(t, "systemctl is-active deskyard-bootloader || systemctl start deskyard-bootloader")
}

// account makes a local account.
func (m *machine) account(t *testing.T, name, password string) {
	t.Helper()
	m.put(t, "/run/password", "0600", name+":"+password+"\n")
	m.sh(t, "useradd -m -s /bin/bash "+name+" && chpasswd </run/password; rm /run/password")
	m.put(t, "/home/"+name+"/.xsession", "0755", terminal)
	m.sh(t, "chown "+name+": /home/"+name+"/.xsession")
}

// terminal is a desktop of one terminal, which turns from dark to bright, all of it, with each key, and
// counts them in a file.
const terminal = `#!/bin/bash
xsetroot -solid '#000000'
exec xterm -geometry 220x70+0+0 -bw 0 -bg black -fg white -e bash -c '
	n=0; stty -echo; echo $n >$HOME/keys; printf "\e[?25l"
	while IFS= read -rsn1 key; do
		n=$((n + 1)); echo $n >$HOME/keys
		if [ $((n % 2)) = 1 ]; then printf "\e[?5h"; else printf "\e[?5l"; fi
	done'
`

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start runs a command until the test ends.
func start(t *testing.T, c *exec.Cmd) (pid int) {
	t.Helper()
	must(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Kill() // it may have ended
		_ = c.Wait()         // killed: an error by design
	})
	return c.Process.Pid
}

// child is the first child of a process.
func child(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	return first
}

var errNever = errors.New("not seen in time")

// until looks each 50 ms.
func until(ctx context.Context, within time.Duration, seen func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, errNever)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !seen() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
