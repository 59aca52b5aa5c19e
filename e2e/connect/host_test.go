//go:build e2e

package connect

import (
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"crypto/rand"
)

// host is an xrdp on loopback, and a person's account on this machine for the time of
// the test.
type host struct {
	address     string
	certificate []byte // DER
	user        string
	password    string
	home        string
}

const startWM = `#!/bin/sh
export LC_ALL=C.UTF-8
xsetroot -solid '#204060'
grabs='<keybind key="C-A-Delete"><action name="Execute"><command>touch '$HOME'/ctrl-alt-del</command></action></keybind>'
sed "s|</keyboard>|$grabs</keyboard>|" /etc/xdg/openbox/rc.xml >$HOME/rc.xml
openbox --config-file $HOME/rc.xml &
exec xterm -geometry 100x30+20+40 -bg white -fg black -e sh -c 'touch $HOME/ready; exec sh'
`

// xrdpINI is Debian's for what matters: with bitmap_compression off, IronRDP 0.7.0 cannot
// read what xrdp sends.
const xrdpINI = `[Globals]
ini_version=1
port=tcp://%s
security_layer=tls
crypt_level=high
certificate=%s
key_file=%s
ssl_protocols=TLSv1.2, TLSv1.3
autorun=Xorg
allow_channels=true
bitmap_cache=true
bitmap_compression=true
bulk_compression=true
max_bpp=32
use_fastpath=both
new_cursors=true
[Logging]
LogFile=%s
LogLevel=INFO
EnableConsole=false
[Channels]
rdpdr=true
rdpsnd=false
drdynvc=true
cliprdr=true
[Xorg]
name=Xorg
lib=libxup.so
username=ask
password=ask
ip=127.0.0.1
port=-1
code=20
`

const sesmanINI = `[Globals]
ListenAddress=127.0.0.1
ListenPort=3350
EnableUserWindowManager=false
UserWindowManager=startwm.sh
DefaultWindowManager=%s
[Security]
AllowRootLogin=false
MaxLoginRetry=4
AlwaysGroupCheck=false
[Sessions]
X11DisplayOffset=70
MaxSessions=5
KillDisconnected=false
Policy=Default
[Logging]
LogFile=%s
LogLevel=INFO
EnableSyslog=false
[Xorg]
param=/usr/lib/xorg/Xorg
param=-config
param=xrdp/xorg.conf
param=-noreset
param=-nolisten
param=tcp
param=-logfile
param=.xorgxrdp.%%s.log
[Chansrv]
FuseMountName=shared-drives
[SessionVariables]
PULSE_SCRIPT=/etc/xrdp/pulse/default.pa
`

// startHost starts xrdp. Its session manager has one port for all, 3350: without network
// namespace of its own the test skips where that is taken.
func startHost(t *testing.T) *host {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: xrdp starts sessions of another account")
	}
	for _, program := range []string{"xrdp", "xrdp-sesman", "xterm", "openbox", "xwd", "chromium", "node"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs " + program + ": run e2e/install-deps xrdp xorgxrdp xterm openbox x11-xserver-utils x11-apps xclip")
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:3350")
	if err != nil {
		t.Skip("port 3350 is taken: another xrdp runs here")
	}
	must(l.Close())
	if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	h := &host{address: l.Addr().String(), user: randomName(), password: rand.Text()}
	must(l.Close())
	h.account(t)

	dir := t.TempDir()
	must(os.Chmod(dir, 0o755))
	must(os.Chmod(filepath.Dir(dir), 0o755))
	at := func(name string) string { return filepath.Join(dir, name) }
	must(os.MkdirAll("/run/xrdp/sockdir", 0o755))
	must(os.Chmod("/run/xrdp/sockdir", 0o777|os.ModeSetgid|os.ModeSticky)) // as systemd makes it: sessions put their sockets there
	run(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=sh-0", "-days", "2", "-keyout", at("key.pem"), "-out", at("cert.pem"))
	text, err := os.ReadFile(at("cert.pem"))
	must(err)
	block, _ := pem.Decode(text)
	h.certificate = block.Bytes
	must(os.WriteFile(at("startwm.sh"), []byte(startWM), 0o755))
	must(os.WriteFile(at("xrdp.ini"), fmt.Appendf(nil, xrdpINI, h.address, at("cert.pem"), at("key.pem"), at("xrdp.log")), 0o644))
	must(os.WriteFile(at("sesman.ini"), fmt.Appendf(nil, sesmanINI, at("startwm.sh"), at("sesman.log")), 0o644))
	h.daemon(t, at("sesman.log"), "xrdp-sesman", "-n", "-c", at("sesman.ini"))
	h.daemon(t, at("xrdp.log"), "xrdp", "-n", "-c", at("xrdp.ini"))
	h.await(t)
	return h
}

// account makes the person, and removes them with all they run.
func (h *host) account(t *testing.T) {
	t.Helper()
	run(t, "useradd", "--create-home", "--shell", "/bin/sh", h.user)
	t.Cleanup(func() {
		if u, err := user.Lookup(h.user); err == nil {
			for range 3 { // what is killed may have started more
				_ = exec.Command("pkill", "-KILL", "-u", u.Uid).Run() // fails where nothing runs
				time.Sleep(100 * time.Millisecond)
			}
		}
		if out, err := exec.Command("userdel", "--remove", "--force", h.user).CombinedOutput(); err != nil {
			t.Logf("remove the account %s: %v %s", h.user, err, out)
		}
	})
	c := exec.Command("chpasswd")
	c.Stdin = strings.NewReader(h.user + ":" + h.password + "\n")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("set the password: %v %s", err, out)
	}
	u, err := user.Lookup(h.user)
	if err != nil {
		t.Fatal(err)
	}
	h.home = u.HomeDir
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v %s", name, err, out)
	}
}

// daemon runs a program until the test ends; its log is shown when the test failed.
func (h *host) daemon(t *testing.T, log, name string, args ...string) {
	t.Helper()
	c := exec.Command(name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGTERM) // it may have ended
		_ = c.Wait()                                      // killed: an error by design
		if text, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("%s:\n%s", name, text)
		}
	})
}

// await waits for both listeners; xrdp-sesman chooses between the families itself.
func (h *host) await(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, either := range [][]string{{"127.0.0.1:3350", "[::1]:3350"}, {h.address}} {
		for !slices.ContainsFunc(either, listens) {
			if ctx.Err() != nil {
				t.Fatalf("xrdp does not listen on any of %v", either)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

func listens(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		_ = c.Close() // it was only to see
	}
	return err == nil
}
