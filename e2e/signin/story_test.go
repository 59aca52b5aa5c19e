//go:build e2e

package signin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/signon"
)

const (
	password   = "Correct-Horse-7-Battery"
	userLogin  = "fb879df8-f326-4884-b1cf-06f3ad86be52" // Virtual Machine User Login
	adminLogin = "1c0163c0-47e6-4577-8991-ea5c82e286e4" // Virtual Machine Administrator Login
)

// TestPeopleOfTheDirectorySignInToAMachineThatJoinedIt follows one machine from its
// packages to their removal.
func TestPeopleOfTheDirectorySignInToAMachineThatJoinedIt(t *testing.T) {
	y := open(t)
	m := y.machine
	m.do("useradd --create-home keeper && echo 'keeper:Local-Only-1' | chpasswd")
	before := m.do("cat /etc/pam.d/common-*")
	m.do("dpkg -i /bootloader.deb")
	ann := y.person("Ann@yard.example", userLogin)
	y.person("bob@yard.example", adminLogin)
	y.person("eve@yard.example", "")
	y.person("clara.with-a-name-that-is-long@department.yard.example", userLogin)

	y.want("before the boot loader runs", "ann@yard.example", password, false)
	y.want("before the boot loader runs", "keeper", "Local-Only-1", true)
	m.run()
	y.await("the guest's link", func() bool { return strings.Contains(m.log.String(), "guest link up") })
	y.want("before the join", "ann@yard.example", password, false)
	y.join()
	y.wantDevice(1)

	t.Run("xrdp takes a person whom the machine has not seen", func(t *testing.T) { y.xrdp(t) })
	y.want("first sign-in", "ann@yard.example", password, true)
	y.want("second sign-in", "ann@yard.example", password, true)
	y.want("the local account's password", "ann@yard.example", "Local-Only-1", false)
	y.want("no role", "eve@yard.example", password, false)
	y.wantSaid("Virtual Machine User Login")
	y.want("not in the directory", "mallory@yard.example", password, false)
	y.want("a local account", "keeper", "Local-Only-1", true)
	y.want("a local account, with a password of the directory", "keeper", password, false)
	y.want("an administrator", "bob@yard.example", password, true)
	y.want("a long name", "clara.with-a-name-that-is-long@department.yard.example", password, false)
	y.wantSaid("sign in with the name uclara_with")
	short := m.do("getent passwd | grep -o '^uclara_with[^:]*'")
	y.want("a long name's account", short, password, true)

	y.wantAccounts()
	t.Run("sshd takes the machine's accounts", func(t *testing.T) { y.ssh(t) })
	t.Run("a grant opens once", func(t *testing.T) { y.grant(t, ann) })
	t.Run("an account that is there is not taken over", func(t *testing.T) { y.taken() })
	t.Run("who is disabled is told so", func(t *testing.T) { y.disabled(ann) })
	t.Run("without the service local accounts work", func(t *testing.T) { y.alone() })

	if found, err := m.try("grep -rl "+password+" /var /run /etc /home /root /tmp", ""); err == nil || strings.Contains(y.log.String()+m.log.String(), password) {
		t.Errorf("the password is in a log or in: %s", found)
	}
	m.stop()
	m.do("dpkg -r deskyard-bootloader")
	if after := m.do("cat /etc/pam.d/common-*"); after != before {
		t.Errorf("the removal leaves PAM as\n%s", after)
	}
	y.want("after the removal", "keeper", "Local-Only-1", true)
	y.want("after the removal", "ann@yard.example", password, false)
}

// wantAccounts looks at what sign-ins have made of the machine.
func (y *yard) wantAccounts() {
	y.t.Helper()
	if got := y.machine.do("getent passwd ann@yard.example | cut -d: -f5,6; stat -c %a:%U /home/ann@yard.example; getent shadow ann@yard.example | cut -d: -f2"); got != "Ann@yard.example:/home/ann@yard.example\n700:ann@yard.example\n!" {
		y.t.Errorf("the account: %q", got)
	}
	if got := y.machine.do("getent passwd | grep -c -e eve -e mallory || true"); got != "0" {
		y.t.Errorf("%s accounts for who was refused", got)
	}
	sudo := `su - bob@yard.example -c "sudo -S -p '' id -u"`
	if out, err := y.machine.try(sudo, password+"\n"); err != nil || strings.TrimSpace(out) != "0" {
		y.t.Errorf("the administrator's sudo: %v %s", err, out)
	}
	if out, err := y.machine.try(strings.Replace(sudo, "bob", "ann", 1), password+"\n"); err == nil {
		y.t.Errorf("everybody's sudo: %s", out)
	}
}

func (y *yard) want(when, user, password string, in bool) {
	y.t.Helper()
	began := time.Now()
	said, got := y.machine.signIn(user, password)
	if got != in {
		y.t.Errorf("%s: %s is let in: %v\n%s\nthe boot loader's log:\n%s", when, user, got, said, &y.machine.log)
	}
	y.t.Logf("%-45s %-30.30s in: %-5v %v", when, user, got, time.Since(began).Round(time.Millisecond))
}

// wantSaid looks for a reason in the boot loader's log, which is the journal's.
func (y *yard) wantSaid(words string) {
	y.t.Helper()
	if !strings.Contains(y.machine.log.String(), words) {
		y.t.Errorf("the boot loader does not say %q:\n%s", words, &y.machine.log)
	}
}

// sesman asks xrdp's session manager for a session, as xrdp does after its login screen.
// There is no X server here, so that a session that is granted ends at once.
const sesman = `rm -f /var/log/xrdp-sesman.log; mkdir -p /run/xrdp/sockdir; xrdp-sesman --nodaemon >/dev/null 2>&1 & daemon=$!
timeout 20 xrdp-sesrun -F 0 USER 2>/dev/null; kill $daemon; wait $daemon; cat /var/log/xrdp-sesman.log`

func (y *yard) xrdp(t *testing.T) {
	y.person("xenia@yard.example", userLogin)
	for _, c := range []struct {
		password string
		in       bool
	}{{"wrong", false}, {password, true}} {
		out, _ := y.machine.apart(strings.Replace(sesman, "USER", "xenia@yard.example", 1), c.password)
		t.Logf("%s", out)
		if granted := strings.Contains(out, "access granted): username xenia@yard.example"); granted != c.in {
			t.Errorf("granted %v, want %v:\n%s", granted, c.in, out)
		}
	}
}

// sshd runs OpenSSH's server for one log-in with a password.
const sshd = `mkdir -p /run/sshd; /usr/sbin/sshd -e -D -o ListenAddress=127.0.0.1 2>/var/log/sshd & daemon=$!
for n in $(seq 100); do grep -q "listening on" /var/log/sshd && break; sleep 0.1; done
printf '#!/bin/sh\necho "$ASKED"\n' >/askpass; chmod 755 /askpass; read -r ASKED; export ASKED SSH_ASKPASS=/askpass SSH_ASKPASS_REQUIRE=force
timeout 20 ssh -n -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o NumberOfPasswordPrompts=1 -l USER 127.0.0.1 id -un
kill $daemon; wait $daemon; cat /var/log/sshd`

func (y *yard) ssh(t *testing.T) {
	for user, in := range map[string]bool{"ann@yard.example": true, "stranger@yard.example": false} {
		if !in {
			y.person(user, userLogin)
		}
		out, _ := y.machine.apart(strings.Replace(sshd, "USER", user, 1), password+"\n")
		t.Logf("%s", out)
		if got := strings.HasPrefix(out, user+"\n") || strings.Contains(out, "\n"+user+"\n"); got != in {
			t.Errorf("%s: let in %v, want %v:\n%s", user, got, in, out)
		}
	}
	y.wantSaid("sign in over remote desktop once") // what sshd asks in place of an account that is not there is no attempt
}

func (y *yard) wantDevice(n int) {
	y.t.Helper()
	var list struct {
		Value []struct {
			DeviceID    string
			PhysicalIDs []string
		}
	}
	y.must(y.client.Do(y.t.Context(), "GET", "/graph/v1.0/devices", nil, &list))
	if len(list.Value) != n || n > 0 && (list.Value[0].DeviceID != y.id || !strings.HasSuffix(list.Value[0].PhysicalIDs[0], y.vm.String())) {
		y.t.Errorf("devices %+v", list.Value)
	}
}

// grant gives a one-time credential as the agent does.
func (y *yard) grant(t *testing.T, ann string) {
	c := signon.NewClient(filepath.Join(y.machine.dir, signon.Socket))
	once, hash := signon.NewSecret()
	account, err := c.Grant(t.Context(), signon.Grant{Person: signon.Person{ObjectID: ann, UPN: "Ann@yard.example"}, SecretHash: hash, Expires: time.Now().Add(time.Minute)})
	if err != nil || account != "ann@yard.example" {
		t.Fatalf("%q, %v", account, err)
	}
	y.want("a grant for another", "bob@yard.example", once, false)
	y.want("a grant", account, once, true)
	y.want("the grant again", account, once, false)
	late, hash := signon.NewSecret()
	if _, err := c.Grant(t.Context(), signon.Grant{Person: signon.Person{ObjectID: ann, UPN: "Ann@yard.example"}, SecretHash: hash, Expires: time.Now().Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // what is waited for is the clock
	y.want("a grant that has expired", account, late, false)
	if info, err := os.Stat(filepath.Join(y.machine.dir, signon.Socket)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	if out, err := y.machine.try(`su keeper -c "echo '`+once+`' | PAM_USER=ann@yard.example PAM_TYPE=auth /opt/deskyard/bootloader/current/deskyard-bootloader signin"`, ""); err == nil {
		t.Errorf("a user asks the socket: %s", out)
	}
}

func (y *yard) taken() {
	y.person("fred@yard.example", userLogin)
	y.machine.do("useradd --create-home fred@yard.example")
	y.want("a name that a local account has", "fred@yard.example", password, false)
	y.wantSaid("not of the directory")
	y.person("games@yard.example", userLogin)
	y.machine.do("useradd --system games@yard.example")
	y.want("a name that the system has", "games@yard.example", password, false)
}

func (y *yard) disabled(ann string) {
	y.must(y.client.Do(y.t.Context(), "PATCH", "/graph/v1.0/users/"+ann, map[string]any{"accountEnabled": false}, nil))
	y.want("a disabled user", "ann@yard.example", password, false)
	y.wantSaid("AADSTS50057")
}

// alone takes the service away and brings it back.
func (y *yard) alone() {
	y.stop()
	y.await("the end of the link", func() bool { return strings.Contains(y.machine.log.String(), "guest link ended") })
	began := time.Now()
	y.want("without the service", "bob@yard.example", password, false)
	y.wantSaid("sign-in not decided")
	y.want("without the service", "keeper", "Local-Only-1", true)
	if took := time.Since(began); took > 10*time.Second {
		y.t.Errorf("two sign-ins without the service took %v", took)
	}
	y.serve()
	y.await("the service's return", func() bool { _, in := y.machine.signIn("bob@yard.example", password); return in })
}
