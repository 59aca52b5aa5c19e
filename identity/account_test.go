package identity

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskyard/deskyard/arm"
)

func TestAccountLocksAfterFiveFailuresForADoublingTime(t *testing.T) {
	y := newYard(t)
	try := func(password string) answer {
		form := y.passwordForm()
		form.Set("password", password)
		return y.post("/adfs/oauth2/token", form)
	}
	for range freeAttempts {
		failedWith(t, try("wrong password"), 400, "invalid_grant", "50126")
		y.clock.advance(time.Second)
	}
	failedWith(t, try(y.creds.AdminPassword), 400, "invalid_grant", "50126")
	if y.audited(actionSignIn, "AADSTS50053") != 1 {
		t.Error("the audit log does not say that the account was locked")
	}
	y.clock.advance(lockBase)
	failedWith(t, try("wrong again"), 400, "invalid_grant", "50126")
	y.clock.advance(lockBase)
	failedWith(t, try(y.creds.AdminPassword), 400, "invalid_grant", "50126")
	y.clock.advance(lockBase)
	if a := try(y.creds.AdminPassword); a.status != 200 {
		t.Fatalf("after the lock: %d %s", a.status, a.text)
	}
	u, err := y.User(t.Context(), y.creds.AdminUPN)
	if err != nil || u.Failed != 0 || !u.LockedUntil.IsZero() {
		t.Errorf("a success left %d failures, locked until %v, %v", u.Failed, u.LockedUntil, err)
	}
}

func TestLockGrowsToItsBoundAndNoFurther(t *testing.T) {
	for failed, want := range map[int]time.Duration{0: 0, 4: 0, 5: lockBase, 6: 2 * lockBase, 9: 8 * time.Minute, 10: lockMost, 1 << 30: lockMost} {
		if got := lockFor(failed); got != want {
			t.Errorf("%d failures lock for %v, want %v", failed, got, want)
		}
	}
}

func TestUnlockLetsAUserInAtOnce(t *testing.T) {
	y := newYard(t)
	form := y.passwordForm()
	form.Set("password", "wrong password")
	for range freeAttempts {
		y.post("/adfs/oauth2/token", form)
	}
	if err := y.Unlock(t.Context(), y.creds.AdminID); err != nil {
		t.Fatal(err)
	}
	if a := y.post("/adfs/oauth2/token", y.passwordForm()); a.status != 200 {
		t.Errorf("got %d %s", a.status, a.text)
	}
}

func TestManyGuessesAtOnceAreCountedOneByOne(t *testing.T) {
	y := newYard(t)
	r := httptest.NewRequest("POST", testBase+"/", nil)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, err := y.verifyUser(t.Context(), r, y.creds.AdminUPN, fmt.Sprint("guess ", i)); err == nil {
				t.Error("a guess was accepted")
			}
		})
	}
	wg.Wait()
	if n := y.audited(actionSignIn, "AADSTS50126"); n != freeAttempts {
		t.Errorf("%d guesses were looked at, want %d", n, freeAttempts)
	}
}

func TestUnknownNamesGetTheAnswerOfWrongPasswords(t *testing.T) {
	y := newYard(t)
	form := y.passwordForm()
	form.Set("password", "wrong password")
	known := y.post("/adfs/oauth2/token", form)
	form.Set("username", "nobody@deskyard.local")
	unknown := y.post("/adfs/oauth2/token", form)
	cut := func(a answer) string {
		before, _, _ := strings.Cut(a.string("error_description"), " Trace ID")
		return before
	}
	if known.status != unknown.status || cut(known) != cut(unknown) || cut(known) == "" {
		t.Errorf("a known name gets %d %q, an unknown one %d %q", known.status, cut(known), unknown.status, cut(unknown))
	}
}

func TestRefusalsComeOnAGridOfTime(t *testing.T) {
	y := newYard(t)
	y.grid = 200 * time.Millisecond
	r := httptest.NewRequest("POST", testBase+"/", nil)
	for _, name := range []string{y.creds.AdminUPN, "nobody@deskyard.local"} {
		start := time.Now()
		if _, err := y.verifyUser(t.Context(), r, name, "wrong password"); err == nil {
			t.Fatal("a wrong password was accepted")
		}
		if took := time.Since(start); took < y.grid {
			t.Errorf("the refusal of %s took %v, less than the grid of %v", name, took, y.grid)
		}
	}
}

func TestPasswordsFromOneAddressAreLimited(t *testing.T) {
	y := newYard(t)
	last := answer{}
	for i := range 31 {
		form := y.passwordForm()
		form.Set("username", fmt.Sprintf("user%d@deskyard.local", i))
		last = y.post("/adfs/oauth2/token", form)
	}
	failedWith(t, last, 400, "invalid_grant", "90056")
}

func TestDisabledUserLearnsSoOnlyWithTheRightPassword(t *testing.T) {
	y := newYard(t)
	off := true
	if _, err := y.UpdateUser(t.Context(), y.creds.AdminID, UserChange{Disabled: &off}); err != nil {
		t.Fatal(err)
	}
	failedWith(t, y.post("/adfs/oauth2/token", y.passwordForm()), 400, "invalid_grant", "50057")
	form := y.passwordForm()
	form.Set("password", "wrong password")
	failedWith(t, y.post("/adfs/oauth2/token", form), 400, "invalid_grant", "50126")
}

func TestHashWithOldParametersIsReplacedAtSignIn(t *testing.T) {
	y := newYard(t)
	y.passwords = newPasswords(128, 2, 1)
	before, err := y.User(t.Context(), y.creds.AdminID)
	if err != nil {
		t.Fatal(err)
	}
	if a := y.post("/adfs/oauth2/token", y.passwordForm()); a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	after, err := y.User(t.Context(), y.creds.AdminID)
	if err != nil || after.PasswordHash == before.PasswordHash || !strings.Contains(after.PasswordHash, "$m=128,t=2,p=1$") {
		t.Errorf("the hash is %s, %v", after.PasswordHash, err)
	}
	if a := y.post("/adfs/oauth2/token", y.passwordForm()); a.status != 200 {
		t.Errorf("with the new hash: %d %s", a.status, a.text)
	}
}

func TestPasswordHashing(t *testing.T) {
	p := cheap()
	ctx := t.Context()
	hash, err := p.Hash(ctx, "correct horse battery")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatalf("hash %q, %v", hash, err)
	}
	again, err := p.Hash(ctx, "correct horse battery")
	if err != nil || again == hash {
		t.Error("two hashes of one password are the same: there is no salt")
	}
	for password, want := range map[string]bool{"correct horse battery": true, "correct horse batterz": false, "": false, strings.Repeat("x", 5000): false} {
		if ok, err := p.Verify(ctx, hash, password); err != nil || ok != want {
			t.Errorf("Verify(%.30q) = %v, %v; want %v", password, ok, err, want)
		}
	}
	if ok, err := p.Verify(ctx, "", ""); ok || err != nil {
		t.Errorf("no hash matched the empty password: %v, %v", ok, err)
	}
	if _, err := p.Verify(ctx, "$argon2id$v=19$m=999999999,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "x"); err == nil {
		t.Error("a hash that asks for a terabyte was taken")
	}
}

func TestHashingWaitsForItsTurnNoLongerThanItsContext(t *testing.T) {
	p := cheap()
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Hash(ctx, "x")
	if e, ok := err.(*arm.Error); !ok || e.Kind != arm.Throttled {
		t.Errorf("got %v, want Throttled", err)
	}
}

func TestWeakPasswordsAreRefused(t *testing.T) {
	y := newYard(t)
	for _, weak := range []string{"short", strings.Repeat("a", 20), "my.admin.password", strings.Repeat("long", 65), "bad\xff utf-8 password"} {
		if _, err := y.SetPassword(t.Context(), y.creds.AdminID, weak); err == nil {
			t.Errorf("%q was accepted", weak)
		}
	}
}

func TestMadePasswordsAndSecretsDoNotRepeat(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		_, secret := newSecret("", time.Now(), time.Now())
		for _, s := range []string{GeneratePassword(), secret, randomHandle(16)} {
			if seen[s] || len(s) < 20 {
				t.Fatalf("%q repeats or is short", s)
			}
			seen[s] = true
		}
	}
}

func TestUserNamesAreUniqueWithoutRegardToCase(t *testing.T) {
	y := newYard(t)
	_, _, err := y.CreateUser(t.Context(), NewUser{UPN: strings.ToUpper(y.creds.AdminUPN)})
	if err == nil {
		t.Fatal("a second admin was created")
	}
	for _, bad := range []string{"", "noat", "a@", "@b.c", "a b@c.d", "a@b c", "a@@b", strings.Repeat("x", 65) + "@y"} {
		if _, _, err := y.CreateUser(t.Context(), NewUser{UPN: bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestRedirectURIsMustNotLeakCodes(t *testing.T) {
	y := newYard(t)
	for _, bad := range []string{"http://desk.test/", "https://*.desk.test/", "javascript:alert(1)", "/relative", "https://a.test/#fragment", "data:text/html,x"} {
		if _, err := y.CreateServicePrincipal(t.Context(), NewServicePrincipal{DisplayName: "x", RedirectURIs: []string{bad}}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if _, err := y.CreateServicePrincipal(t.Context(), NewServicePrincipal{DisplayName: "x", RedirectURIs: []string{"https://a.test/cb", "http://localhost:1/cb", "app.x:/cb"}}); err != nil {
		t.Error(err)
	}
}

func TestBootstrapFoundsOnceAndKeepsNoSecretInTheClear(t *testing.T) {
	y := newYard(t)
	again, founded, err := Bootstrap(t.Context(), y.db, Foundation{Passwords: cheap()})
	if err != nil || founded || again != (Credentials{TenantID: y.TenantID()}) {
		t.Errorf("the second time: %+v, %v, %v", again, founded, err)
	}
	for _, format := range []string{"%v", "%+v", "%s", "%#v"} {
		text := fmt.Sprintf(format, y.creds)
		if strings.Contains(text, y.creds.AdminPassword) || strings.Contains(text, y.creds.ClientSecret) {
			t.Errorf("%s prints a secret: %s", format, text)
		}
	}
	session := y.post("/adfs/oauth2/token", y.passwordForm())
	files, err := filepath.Glob(filepath.Join(y.dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no database files: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for name, secret := range map[string]string{"password": y.creds.AdminPassword, "client secret": y.creds.ClientSecret, "refresh token": session.string("refresh_token")} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s holds the %s in the clear", f, name)
			}
		}
	}
}

func TestFoundationTakesTheIDsThatRolesWereGivenTo(t *testing.T) {
	db := openStore(t, t.TempDir())
	f := Foundation{TenantID: "AAAAAAAA-0000-4000-8000-000000000001", AdminID: "aaaaaaaa-0000-4000-8000-000000000002",
		ClientID: "aaaaaaaa-0000-4000-8000-000000000003", AdminUPN: "not a name", Passwords: cheap()}
	if _, founded, err := Bootstrap(t.Context(), db, f); founded || err == nil {
		t.Fatalf("an impossible name: founded %v, %v", founded, err)
	}
	f.AdminUPN = "root@desk.test"
	c, founded, err := Bootstrap(t.Context(), db, f)
	if err != nil || !founded {
		t.Fatalf("founded %v, %v", founded, err)
	}
	if c.TenantID != strings.ToLower(f.TenantID) || c.AdminID != f.AdminID || c.ClientObjectID != f.ClientID || c.AdminUPN != f.AdminUPN {
		t.Errorf("credentials %v do not have the chosen ids", c)
	}
	if sp, err := db.ServicePrincipal(t.Context(), f.ClientID); err != nil || sp.AppID != c.ClientID {
		t.Errorf("stored service principal %+v, %v", sp, err)
	}
}

func TestSweepRemovesGrantsADayAfterTheirEnd(t *testing.T) {
	y := newYard(t)
	code, _ := startDevice(t, y)
	y.clock.advance(deviceLife + 23*time.Hour)
	if err := y.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := y.db.Grant(t.Context(), "device", hashOf(code)); err != nil {
		t.Errorf("removed too early: %v", err)
	}
	y.clock.advance(2 * time.Hour)
	if err := y.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := y.db.Grant(t.Context(), "device", hashOf(code)); !arm.IsMissing(err) {
		t.Errorf("the grant is still there: %v", err)
	}
}

func TestServiceRefusesBaseURLsThatAreNone(t *testing.T) {
	y := newYard(t)
	for _, bad := range [][]string{nil, {"http://desk.test"}, {"https://desk.test/path"}, {"desk.test"}, {"https://"}, {"https://a.test?x=1"}} {
		if _, err := New(t.Context(), Options{Store: y.db, Keys: y.keys, BaseURLs: bad, Passwords: cheap()}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestDiscoveryNamesEndpointsThatExist(t *testing.T) {
	y := newYard(t)
	id := y.TenantID()
	for path, issuer := range map[string]string{
		"/adfs/.well-known/openid-configuration":               testBase + "/adfs",
		"/adfs/adfs/.well-known/openid-configuration":          testBase + "/adfs",
		"/" + id + "/v2.0/.well-known/openid-configuration":    testBase + "/" + id + "/v2.0",
		"/common/v2.0/.well-known/openid-configuration":        testBase + "/" + id + "/v2.0",
		"/organizations/v2.0/.well-known/openid-configuration": testBase + "/" + id + "/v2.0",
		"/" + id + "/.well-known/openid-configuration":         testBase + "/" + id + "/",
	} {
		d := y.send("GET", path, "", nil)
		if d.status != 200 || d.string("issuer") != issuer {
			t.Errorf("%s: %d, issuer %s, want %s", path, d.status, d.string("issuer"), issuer)
			continue
		}
		for member, want := range map[string]endpoint{
			"authorization_endpoint": authorizeEndpoint, "token_endpoint": tokenEndpoint, "device_authorization_endpoint": deviceEndpoint,
			"end_session_endpoint": logoutEndpoint, "jwks_uri": keysEndpoint,
		} {
			u, err := url.Parse(d.string(member))
			if err != nil {
				t.Fatal(err)
			}
			if e, _, _ := parsePath(u.Path); e != want || !strings.HasPrefix(d.string(member), testBase) {
				t.Errorf("%s: %s is %q, which is not such an endpoint", path, member, d.string(member))
			}
		}
		keys := y.send("GET", strings.TrimPrefix(d.string("jwks_uri"), testBase), "", nil)
		if list, _ := keys.json["keys"].([]any); len(list) != 1 || strings.Contains(keys.text, `"d":`) {
			t.Errorf("%s: key set %s", path, keys.text)
		}
	}
	i := y.send("GET", "/common/discovery/instance?api-version=1.1&authorization_endpoint=x", "", nil)
	if i.string("tenant_discovery_endpoint") != testBase+"/"+id+"/v2.0/.well-known/openid-configuration" || !strings.Contains(i.text, `"preferred_network":"desk.test:8443"`) {
		t.Errorf("instance metadata: %s", i.text)
	}
	failedWith(t, y.send("GET", "/elsewhere/v2.0/.well-known/openid-configuration", "", nil), 400, "invalid_tenant", "90002")
}

func TestIssuerLeavesManagementPathsAlone(t *testing.T) {
	for _, path := range []string{"/", "/subscriptions", "/subscriptions/x/resourceGroups/y", "/providers/Microsoft.DesktopVirtualization/operations",
		"/tenants", "/metadata/endpoints", "/agent/v1/register", "/healthz", "/graphs", "/subscriptions/x/providers/oauth2/token"} {
		if Owns(path) {
			t.Errorf("%s is taken", path)
		}
	}
	for _, path := range []string{"/graph/v1.0/users", "/v1.0/me", "/graph//v1.0/users", "/devicelogin", "/common/userrealm/a@b", "/ADFS/oauth2/token"} {
		if !Owns(path) {
			t.Errorf("%s is not taken", path)
		}
	}
}
