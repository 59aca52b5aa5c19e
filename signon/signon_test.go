package signon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// accounts is a machine's account database in memory that behaves like Debian's.
type accounts struct {
	next   int
	rows   map[string]Entry
	admins map[string]bool
	busy   map[string]bool // signed in: cannot be renamed
	broken error           // of Make, after the account is there
}

func newAccounts() *accounts {
	return &accounts{next: 1000, admins: map[string]bool{}, busy: map[string]bool{}, rows: map[string]Entry{
		"root": {Name: "root", UID: 0}, "keeper": {Name: "keeper", UID: 999},
	}}
}

func (a *accounts) Find(_ context.Context, name string) (Entry, bool, error) {
	e, ok := a.rows[name]
	return e, ok, nil
}

func (a *accounts) Make(_ context.Context, name, comment string) error {
	if _, ok := a.rows[name]; ok {
		return errors.New("user " + name + " already exists")
	}
	a.rows[name] = Entry{Name: name, UID: a.next, Comment: comment, Home: "/home/" + name}
	a.next++
	return a.broken
}

func (a *accounts) Rename(_ context.Context, from, to, comment string) error {
	e, ok := a.rows[from]
	if _, taken := a.rows[to]; !ok || taken || a.busy[from] {
		return errors.New("user " + from + " is currently used by process 1")
	}
	delete(a.rows, from)
	e.Name, e.Comment = to, comment
	a.rows[to] = e
	return nil
}

func (a *accounts) Administer(_ context.Context, name string, may bool) error {
	a.admins[name] = may
	return nil
}

// people is a directory that knows passwords by user principal name.
type people struct {
	known map[string]Person // by UPN in lower case, with the password "Pass-Word-1"
	asked []string
	err   error
}

func (p *people) SignIn(_ context.Context, name, password, _ string) (Person, error) {
	p.asked = append(p.asked, name)
	who, ok := p.known[strings.ToLower(name)]
	switch {
	case p.err != nil:
		return Person{}, p.err
	case !ok || password != "Pass-Word-1":
		return Person{}, &Refusal{"AADSTS50126: Error validating credentials"}
	}
	return who, nil
}

const (
	annaID  = "11111111-1111-4111-8111-111111111111"
	otherID = "22222222-2222-4222-8222-222222222222"
)

type fixture struct {
	*Service
	machine *accounts
	people  *people
	now     time.Time
	path    string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{machine: newAccounts(), now: time.Unix(1_800_000_000, 0), path: filepath.Join(t.TempDir(), "accounts.json"),
		people: &people{known: map[string]Person{"anna@yard.example": {ObjectID: annaID, UPN: "Anna@yard.example"}}}}
	f.Service = New(Options{Accounts: f.path, System: f.machine, Directory: f.people, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return f.now }})
	return f
}

func (f *fixture) try(user, password string) verdict {
	return f.signIn(context.Background(), attempt{User: user, Password: password, Service: "xrdp-sesman"})
}

func TestTheFirstSignInMakesTheAccountAndTheNextFindsIt(t *testing.T) {
	f := newFixture(t)
	for range 2 {
		if v := f.try("anna@yard.example", "Pass-Word-1"); !v.OK {
			t.Fatalf("refused: %s", v.Reason)
		}
	}
	e := f.machine.rows["anna@yard.example"]
	if e.UID != 1000 || e.Comment != "Anna@yard.example" || f.machine.next != 1001 || f.machine.admins[e.Name] {
		t.Errorf("account %+v, next uid %d", e, f.machine.next)
	}
	all, err := ReadAccounts(f.path)
	if err != nil || all.UPN(1000) != "Anna@yard.example" || all.UPN(0) != "" || all.UPN(1001) != "" {
		t.Errorf("written down: %+v, %v", all, err)
	}
	if info, err := os.Stat(f.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestTheRightToAdministerFollowsEachSignIn(t *testing.T) {
	f := newFixture(t)
	for _, may := range []bool{true, false, true} {
		f.people.known["anna@yard.example"] = Person{annaID, "anna@yard.example", may}
		if v := f.try("anna@yard.example", "Pass-Word-1"); !v.OK || f.machine.admins["anna@yard.example"] != may {
			t.Errorf("administrator %v: %+v, is %v", may, v, f.machine.admins)
		}
	}
}

func TestAnAccountThatWasThereIsNeverTakenOver(t *testing.T) {
	for name, there := range map[string]Entry{
		"of a person":   {Name: "anna@yard.example", UID: 1500, Comment: "Anna@yard.example"},
		"of the system": {Name: "anna@yard.example", UID: 7},
	} {
		f := newFixture(t)
		f.machine.rows["anna@yard.example"] = there
		if v := f.try("anna@yard.example", "Pass-Word-1"); v.OK || !strings.Contains(v.Reason, "not of the directory") {
			t.Errorf("%s: %+v", name, v)
		}
		if f.machine.rows["anna@yard.example"] != there || f.machine.admins["anna@yard.example"] {
			t.Errorf("%s: changed", name)
		}
	}
}

func TestAnAccountThatWasReplacedUnderItsNameIsRefused(t *testing.T) {
	f := newFixture(t)
	f.try("anna@yard.example", "Pass-Word-1")
	for _, uid := range []int{0, 500, 1001, 65534} {
		f.machine.rows["anna@yard.example"] = Entry{Name: "anna@yard.example", UID: uid, Comment: "Anna@yard.example"}
		if v := f.try("anna@yard.example", "Pass-Word-1"); v.OK || !strings.Contains(v.Reason, "any more") {
			t.Errorf("uid %d: %+v", uid, v)
		}
	}
}

func TestANameThatIsSomebodyElsesNowDoesNotOpenTheFormerOwnersHome(t *testing.T) {
	f := newFixture(t)
	f.try("anna@yard.example", "Pass-Word-1")
	f.people.known["anna@yard.example"] = Person{ObjectID: otherID, UPN: "anna@yard.example"}
	f.machine.busy["anna@yard.example"] = true
	if v := f.try("anna@yard.example", "Pass-Word-1"); v.OK || !strings.Contains(v.Reason, "had that user principal name before") {
		t.Fatalf("while the former owner is signed in: %+v", v)
	}
	f.machine.busy = map[string]bool{}
	if v := f.try("anna@yard.example", "Pass-Word-1"); !v.OK {
		t.Fatalf("refused: %s", v.Reason)
	}
	if e := f.machine.rows["anna@yard.example"]; e.UID != 1001 {
		t.Errorf("the second Anna has %+v", e)
	}
	all, err := ReadAccounts(f.path)
	if err != nil || len(all) != 2 || all[all.byObject(annaID)].UID != 1000 || f.machine.rows[all[all.byObject(annaID)].Name].Home != "/home/anna@yard.example" {
		t.Errorf("the first Anna: %+v, %v; %+v", all, err, f.machine.rows)
	}
}

func TestAPersonWhoWasRenamedKeepsTheHome(t *testing.T) {
	f := newFixture(t)
	f.try("anna@yard.example", "Pass-Word-1")
	f.people.known = map[string]Person{"anna.berg@yard.example": {ObjectID: strings.ToUpper(annaID), UPN: "anna.berg@yard.example"}}
	if v := f.try("anna.berg@yard.example", "Pass-Word-1"); !v.OK {
		t.Fatalf("refused: %s", v.Reason)
	}
	if e := f.machine.rows["anna.berg@yard.example"]; e.UID != 1000 || e.Home != "/home/anna@yard.example" {
		t.Errorf("account %+v", e)
	}
	if all, err := ReadAccounts(f.path); err != nil || all.UPN(1000) != "anna.berg@yard.example" {
		t.Errorf("written down: %+v, %v", all, err)
	}
}

func TestAnAccountIsMadeOnceThoughTheMachineGoesDownInTheMiddle(t *testing.T) {
	f := newFixture(t)
	f.machine.broken = errors.New("power failed")
	if v := f.try("anna@yard.example", "Pass-Word-1"); v.OK {
		t.Fatal("let in without an account")
	}
	f.machine.broken = nil
	if v := f.try("anna@yard.example", "Pass-Word-1"); !v.OK || f.machine.next != 1001 {
		t.Errorf("afterwards: %+v, next uid %d", v, f.machine.next)
	}
}

func TestAnAccountThatAnAdministratorDeletedIsMadeAnew(t *testing.T) {
	f := newFixture(t)
	f.try("anna@yard.example", "Pass-Word-1")
	delete(f.machine.rows, "anna@yard.example")
	if v := f.try("anna@yard.example", "Pass-Word-1"); !v.OK || f.machine.rows["anna@yard.example"].UID != 1001 {
		t.Errorf("%+v, %+v", v, f.machine.rows)
	}
	if all, err := ReadAccounts(f.path); err != nil || len(all) != 1 {
		t.Errorf("written down: %+v, %v", all, err)
	}
}

func TestLocalNamesNeverReachTheDirectory(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"root", "keeper", "anna", "", "@", "a@", "@b", "a b@c", "a:b@c", "a@b\n", "ujohn-0123456789ab", strings.Repeat("a", 200) + "@b"} {
		if v := f.try(name, "Pass-Word-1"); v.OK || v.Reason != "" {
			t.Errorf("%q: %+v", name, v)
		}
	}
	if len(f.people.asked) != 0 {
		t.Errorf("asked about %q", f.people.asked)
	}
}

func TestTheDirectorysReasonIsTold(t *testing.T) {
	f := newFixture(t)
	if v := f.try("anna@yard.example", "wrong"); v.OK || !strings.Contains(v.Reason, "AADSTS50126") {
		t.Errorf("%+v", v)
	}
	f.people.err = errors.New("dial tcp 10.0.0.1:443: no route to host")
	if v := f.try("anna@yard.example", "Pass-Word-1"); v.OK || !strings.Contains(v.Reason, "cannot be asked") || strings.Contains(v.Reason, "10.0.0.1") {
		t.Errorf("without a link: %+v", v)
	}
	f.people.err = ErrNotJoined
	if v := f.try("anna@yard.example", "Pass-Word-1"); v != (verdict{}) {
		t.Errorf("on a machine that is not joined: %+v", v)
	}
	if len(f.machine.rows) != 2 {
		t.Errorf("accounts were made: %v", f.machine.rows)
	}
}

func TestWhatSSHSendsForAnUnknownAccountIsNoAttempt(t *testing.T) {
	f := newFixture(t)
	if v := f.try("anna@yard.example", "\b\n\r\177INCORRECT"); v.OK || len(f.people.asked) != 0 {
		t.Errorf("%+v, asked %q", v, f.people.asked)
	}
}

func TestANameTypedOtherwiseIsToldTheRightOne(t *testing.T) {
	f := newFixture(t)
	if v := f.try("Anna@Yard.Example", "Pass-Word-1"); v.OK || !strings.Contains(v.Reason, "sign in with the name anna@yard.example") {
		t.Errorf("%+v", v)
	}
}

func TestALongNameGetsAShortAccountThatWorks(t *testing.T) {
	f := newFixture(t)
	upn := "maximiliane.o'hara-weatherby@subsidiary.yard.example"
	f.people.known[upn] = Person{ObjectID: annaID, UPN: upn}
	v := f.try(upn, "Pass-Word-1")
	_, name, ok := strings.Cut(v.Reason, "with the name ")
	if v.OK || !ok {
		t.Fatalf("%+v", v)
	}
	if v := f.try(name, "Pass-Word-1"); !v.OK {
		t.Errorf("%s: %+v", name, v)
	}
}

func TestAccountNamesAreLegalAndToldApart(t *testing.T) {
	for _, upn := range []string{"a@b", "o'neil@b.c", "+x@b.c", "-x@b.c", strings.Repeat("x", 64) + "@b.c", "#1@b.c", "^~!@b.c"} {
		one, two := AccountName(Person{ObjectID: annaID, UPN: upn}), AccountName(Person{ObjectID: otherID, UPN: upn})
		for _, name := range []string{one, two} {
			if len(name) > maxAccount || !accountForm.MatchString(name) || strings.Trim(name, "0123456789") == "" {
				t.Errorf("%s: %q", upn, name)
			}
			if name != upn && !shortForm.MatchString(name) {
				t.Errorf("%s: %q is of neither form", upn, name)
			}
		}
		if one == two && one != upn {
			t.Errorf("%s: two people share %q", upn, one)
		}
	}
}
