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

	if got := m.do("getent passwd ann@yard.example | cut -d: -f5,6; stat -c %a:%U /home/ann@yard.example; getent shadow ann@yard.example | cut -d: -f2"); got != "Ann@yard.example:/home/ann@yard.example\n700:ann@yard.example\n!" {
		t.Errorf("the account: %q", got)
	}
	if got := m.do("getent passwd | grep -c -e eve -e mallory || true"); got != "0" {
		t.Errorf("%s accounts for who was refused", got)
	}
	sudo := `su - bob@yard.example -c "sudo -S -p '' id -u"`
	if out, err := m.try(sudo, password+"\n"); err != nil || !strings.HasSuffix(strings.TrimSpace(out), "\n0") && strings.TrimSpace(out) != "0" { // sudo may grumble about the host's name first
		t.Errorf("the administrator's sudo: %v %s", err, out)
	}
	if out, err := m.try(strings.Replace(sudo, "bob", "ann", 1), password+"\n"); err == nil {
		t.Errorf("everybody's sudo: %s", out)
	}

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
