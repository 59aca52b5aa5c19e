package signon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var anna = Person{ObjectID: annaID, UPN: "anna@yard.example"}

func TestAGrantLetsItsUserInOnce(t *testing.T) {
	f := newFixture(t)
	password, hash := NewSecret()
	account, err := f.Grant(t.Context(), Grant{anna, hash, f.now.Add(time.Minute)})
	if err != nil || account != "anna@yard.example" {
		t.Fatalf("%q, %v", account, err)
	}
	f.people.known["eve@yard.example"] = Person{ObjectID: otherID, UPN: "eve@yard.example"}
	if v := f.try("eve@yard.example", password); v.OK {
		t.Error("another user came in")
	}
	other, _ := NewSecret()
	if v := f.try("anna@yard.example", other); v.OK {
		t.Error("another secret opened")
	}
	if v := f.try("anna@yard.example", password); !v.OK {
		t.Errorf("refused: %s", v.Reason)
	}
	if v := f.try("anna@yard.example", password); v.OK || !strings.Contains(v.Reason, "used up") {
		t.Errorf("the second time: %+v", v)
	}
	if len(f.people.asked) != 0 {
		t.Errorf("a one-time credential was sent to the directory as a password of %q", f.people.asked)
	}
}

func TestAGrantEndsByTheClockAndLastsAMinuteAtMost(t *testing.T) {
	for _, asked := range []time.Duration{10 * time.Second, time.Hour} {
		f := newFixture(t)
		password, hash := NewSecret()
		if _, err := f.Grant(t.Context(), Grant{anna, hash, f.now.Add(asked)}); err != nil {
			t.Fatal(err)
		}
		f.now = f.now.Add(min(asked, GrantLife))
		if v := f.try("anna@yard.example", password); v.OK {
			t.Errorf("after %v it still opens", min(asked, GrantLife))
		}
	}
	f := newFixture(t)
	if _, err := f.Grant(t.Context(), Grant{anna, [sha256.Size]byte{}, f.now}); err == nil {
		t.Error("an expired grant was taken")
	}
}

func TestAGrantIsUsedByOneOfManyAtOnce(t *testing.T) {
	f := newFixture(t)
	password, hash := NewSecret()
	if _, err := f.Grant(t.Context(), Grant{anna, hash, f.now.Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	var in atomic.Int32
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if f.try("anna@yard.example", password).OK {
				in.Add(1)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d came in", in.Load())
	}
}

func TestGrantsAreBounded(t *testing.T) {
	f := newFixture(t)
	for n := range maxGrants + 1 {
		_, hash := NewSecret()
		if err := f.grants.add(Grant{anna, hash, f.now.Add(time.Minute)}); (err != nil) != (n == maxGrants) {
			t.Fatalf("grant %d: %v", n, err)
		}
	}
	f.now = f.now.Add(time.Minute)
	_, hash := NewSecret()
	if err := f.grants.add(Grant{anna, hash, f.now.Add(time.Minute)}); err != nil || len(f.grants.all) != 1 {
		t.Errorf("after they expired: %v, %d wait", err, len(f.grants.all))
	}
}

func TestAGrantOfNobodyIsRefused(t *testing.T) {
	f := newFixture(t)
	for _, p := range []Person{{}, {ObjectID: annaID, UPN: "root"}, {ObjectID: "x", UPN: "a@b"}, {ObjectID: annaID, UPN: "a:b@c"}, {ObjectID: annaID, UPN: "a@b\nc"}} {
		_, hash := NewSecret()
		if _, err := f.Grant(t.Context(), Grant{p, hash, f.now.Add(time.Minute)}); err == nil {
			t.Errorf("%+v was granted", p)
		}
	}
	if len(f.grants.all) != 0 {
		t.Errorf("%d wait", len(f.grants.all))
	}
}

// answering runs the service on a socket of the test's.
func (f *fixture) answering(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ctx, cancel := context.WithCancel(t.Context())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- f.Run(ctx, path, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-ready
	return path
}

func hook(path, user, password string) error {
	env := map[string]string{"PAM_USER": user, "PAM_TYPE": "auth", "PAM_SERVICE": "test"}
	return Hook(context.Background(), path, func(k string) string { return env[k] }, strings.NewReader(password), &bytes.Buffer{})
}

func TestTheHookCarriesAGrantOverTheSocket(t *testing.T) {
	f := newFixture(t)
	f.now = time.Now()
	path := f.answering(t)
	password, hash := NewSecret()
	account, err := NewClient(path).Grant(t.Context(), Grant{anna, hash, f.now.Add(time.Minute)})
	if err != nil || account != "anna@yard.example" {
		t.Fatalf("%q, %v", account, err)
	}
	if err := hook(path, account, password+"\x00"); err != nil {
		t.Errorf("with a NUL at the end: %v", err)
	}
	if err := hook(path, account, password); err != ErrRefused {
		t.Errorf("a second time: %v", err)
	}
	if err := hook(path, account, "Pass-Word-1"); err != nil {
		t.Errorf("with the password: %v", err)
	}
	if err := hook(path, account, strings.Repeat("x", 5000)); err != ErrRefused {
		t.Errorf("with a long password: %v", err)
	}
	if err := hook(path+"-not-there", account, "Pass-Word-1"); err != ErrRefused {
		t.Errorf("without a boot loader: %v", err)
	}
}

// FuzzSocket sends whatever to the socket's paths: no sign-in succeeds that neither a
// grant nor the directory allows, and no account is touched.
func FuzzSocket(f *testing.F) {
	f.Add(signInPath, []byte(`{"user":"anna@yard.example","password":"x","service":"sshd","from":"::1"}`))
	f.Add(grantPath, []byte(`{"objectId":"11111111-1111-4111-8111-111111111111","userPrincipalName":"a@b","secretHash":"AAAA","expires":"2030-01-01T00:00:00Z"}`))
	f.Add(grantPath, []byte(`{"secretHash":null}`))
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		if path != signInPath && path != grantPath {
			return
		}
		x := newFixture(t)
		x.people.known = nil
		w := httptest.NewRecorder()
		x.handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body)))
		if strings.Contains(w.Body.String(), `"ok":true`) {
			t.Errorf("%s let somebody in: %s", body, w.Body)
		}
		for name, e := range x.machine.rows {
			if e.UID >= firstUserID && !accountForm.MatchString(name) {
				t.Errorf("account %q was made", name)
			}
		}
		if x.machine.admins["root"] || x.machine.admins["keeper"] {
			t.Error("an account of the system was changed")
		}
	})
}

func FuzzHookPassword(f *testing.F) {
	f.Add([]byte("pass\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := readPassword(bytes.NewReader(b))
		if err == nil && (len(p) > maxPassword || strings.Contains(p, "\x00") || !bytes.HasPrefix(b, []byte(p))) {
			t.Errorf("%q was read as %q", b, p)
		}
	})
}

func FuzzAccountDatabase(f *testing.F) {
	f.Add("anna:x:1000:1000:Anna,,,:/home/anna:/bin/bash")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := parseEntry(line)
		if err == nil && (e.UID < 0 || strings.ContainsAny(e.Name+e.Comment+e.Home, ":\n")) {
			t.Errorf("%q was read as %+v", line, e)
		}
	})
}
