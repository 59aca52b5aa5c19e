//go:build e2e

// Package federation has people of two other directories sign in to the real service: an
// Active Directory (Samba's) by name and password, and an OpenID provider (a second
// installation) by redirect; and looks what becomes of them when they leave there, and
// when the other side is away or not what it was.
package federation

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/directory"
	"github.com/deskyard/deskyard/e2e/service"
)

const (
	ann   = "ann@" + domainName // of Active Directory
	eve   = "eve@" + headDomain // of the provider
	hal   = "hal@desk.example"  // of the service itself
	crowd = "Desk people"       // the group of Ann's that may open the desktop

	headDomain = "head.example"

	// desktopUser is the role Desktop Virtualization User.
	desktopUser = "1d18fff3-a72a-46b5-b4a9-0b38a3cd7e63"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// house is the two installations and the domain.
type house struct {
	dc         *controller
	head, desk *service.Service
	admin      *service.Client // of desk
	group      string          // the application group
	passwords  map[string]string
}

func TestPeopleOfOtherDirectoriesSignIn(t *testing.T) {
	h := open(t)
	for _, c := range []struct {
		name string
		run  func(*house, *testing.T)
	}{
		{"the password of the directory signs in, another does not, and its group opens the desktop", (*house).byLDAP},
		{"out of the group the desktop is gone with the next sign-in", (*house).outOfTheGroup},
		{"disabled there, one signs in no more at once, and gets no new token after 15 minutes", (*house).disabledThere},
		{"a directory that is down is no wrong password and locks out nobody else", (*house).down},
		{"a directory with a certificate of a stranger's is not asked", (*house).strangersCertificate},
		{"the provider's sign-in opens the desktop, a wrong password there does not", (*house).byProvider},
		{"a provider with new keys still signs in", (*house).newKeys},
		{"disabled at the provider, one signs in no more at once, and gets no new token after 12 hours", (*house).disabledAtProvider},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.run(h, t) }) {
			t.Fatalf("the service's log ends:\n%s", h.desk.Log(30))
		}
	}
}

func open(t *testing.T) *house {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for a network of its own: e2e/federation/run")
	}
	if _, err := exec.LookPath("samba-tool"); err != nil {
		t.Skip("samba-tool is not installed: e2e/install-deps samba samba-ad-provision")
	}
	ctx, dir := t.Context(), t.TempDir()
	h := &house{passwords: map[string]string{"administrator": "Corp-" + uuid.NewString(), ann: "Ann-" + uuid.NewString(), eve: "Eve-" + uuid.NewString(), hal: "Hal-" + uuid.NewString()}}
	h.openDirectory(ctx, t, dir)
	id, secret := h.openProvider(ctx, t, dir)
	h.openDesk(ctx, t, dir, id, secret)
	return h
}

func (h *house) openDirectory(ctx context.Context, t *testing.T, dir string) {
	t.Helper()
	dc, err := newController(ctx, dir, h.passwords["administrator"])
	must(t, err)
	h.dc = dc
	must(t, dc.tool(ctx, "user", "create", "ann", h.passwords[ann]))
	must(t, dc.tool(ctx, "group", "add", crowd))
	must(t, dc.tool(ctx, "group", "addmembers", crowd, "ann"))
	must(t, dc.certify())
	must(t, dc.start(ctx))
	t.Cleanup(func() { must(t, dc.stop()) })
}

// start runs an installation at an address of its own.
func start(ctx context.Context, t *testing.T, dir, name, address, domain string, arguments ...string) *service.Service {
	t.Helper()
	binary := os.Getenv("DESKYARD_BINARY")
	if binary == "" {
		binary = filepath.Join("..", "..", "bin", "deskyard")
	}
	dir = filepath.Join(dir, name)
	must(t, os.Mkdir(dir, 0o700))
	s, err := service.Start(ctx, service.Options{Binary: binary, Dir: dir, Agents: address,
		Arguments: append([]string{"--public-url", "https://" + address, "--domain", domain, "--hypervisors", "none"}, arguments...)})
	must(t, err)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (h *house) openProvider(ctx context.Context, t *testing.T, dir string) (id, secret string) {
	t.Helper()
	h.head = start(ctx, t, dir, "head", "10.9.0.3:9443", headDomain)
	c, err := service.NewClient(h.head.Bootstrap)
	must(t, err)
	addUser(ctx, t, c, eve, h.passwords[eve])
	var app struct{ ID, AppID string }
	must(t, c.Do(ctx, http.MethodPost, "/graph/v1.0/applications", map[string]any{"displayName": "Desks",
		"web": map[string]any{"redirectUris": []string{"https://10.9.0.1:8443/signin/back"}}}, &app))
	var made struct{ SecretText string }
	must(t, c.Do(ctx, http.MethodPost, "/graph/v1.0/applications/"+app.ID+"/addPassword", map[string]any{"passwordCredential": map[string]any{"displayName": "desk"}}, &made))
	return app.AppID, made.SecretText
}

func addUser(ctx context.Context, t *testing.T, c *service.Client, upn, password string) {
	t.Helper()
	must(t, c.Do(ctx, http.MethodPost, "/graph/v1.0/users", map[string]any{"userPrincipalName": upn, "displayName": upn, "accountEnabled": true,
		"passwordProfile": map[string]any{"password": password}}, nil))
}

func (h *house) openDesk(ctx context.Context, t *testing.T, dir, id, secret string) {
	t.Helper()
	ldapSecret, oidcSecret := filepath.Join(dir, "ldap"), filepath.Join(dir, "oidc")
	must(t, os.WriteFile(ldapSecret, []byte(h.passwords["administrator"]), 0o600))
	must(t, os.WriteFile(oidcSecret, []byte(secret), 0o600))
	t.Setenv("SSL_CERT_FILE", h.head.CAFile) // the service's system trusts the provider
	h.desk = start(ctx, t, dir, "desk", "10.9.0.1:8443", "desk.example",
		"--ldap-url", "ldaps://"+controllerAddress, "--ldap-base", base, "--ldap-bind", "Administrator@"+domainName, "--ldap-password-file", ldapSecret, "--ldap-ca", h.dc.file("ca.crt"),
		"--oidc-issuer", h.head.Endpoint+"/adfs", "--oidc-client", id, "--oidc-secret-file", oidcSecret, "--oidc-name", "Head office")
	c, err := service.NewClient(h.desk.Bootstrap)
	must(t, err)
	h.admin = c
	addUser(ctx, t, c, hal, h.passwords[hal])
	must(t, c.CreateGroup(ctx, "desks"))
	must(t, c.Pool("desks", "pool").Create(ctx))
	at := "/subscriptions/" + h.desk.SubscriptionID + "/resourceGroups/desks/providers/Microsoft.DesktopVirtualization/"
	h.group = at + "applicationGroups/people"
	must(t, c.Do(ctx, http.MethodPut, h.group, map[string]any{"location": "local", "properties": map[string]any{
		"applicationGroupType": "Desktop", "hostPoolArmPath": at + "hostPools/pool"}}, nil))
	must(t, c.Do(ctx, http.MethodPut, at+"workspaces/work", map[string]any{"location": "local", "properties": map[string]any{
		"applicationGroupReferences": []string{h.group}}}, nil))
}

// assign lets a user or a group open the desktop.
func (h *house) assign(t *testing.T, id, kind string) {
	t.Helper()
	must(t, h.admin.Do(t.Context(), http.MethodPut, h.group+"/providers/Microsoft.Authorization/roleAssignments/"+uuid.NewString()+"?api-version=2022-04-01",
		map[string]any{"properties": map[string]any{"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/" + desktopUser, "principalId": id, "principalType": kind}}, nil))
}

// find is the object id of the user or group of that name at the desk's directory.
func (h *house) find(t *testing.T, kind, property, name string) string {
	t.Helper()
	var all struct{ Value []struct{ ID string } }
	must(t, h.admin.Do(t.Context(), http.MethodGet, "/graph/v1.0/"+kind+"?"+url.Values{"$filter": {property + " eq '" + name + "'"}, "api-version": {"1"}}.Encode(), nil, &all))
	if len(all.Value) != 1 {
		t.Fatalf("%d %s are called %s", len(all.Value), kind, name)
	}
	return all.Value[0].ID
}

// older makes what the desk knows of a user older, as if time had passed.
func (h *house) older(t *testing.T, upn string, by time.Duration) {
	t.Helper()
	id := h.find(t, "users", "userPrincipalName", upn)
	must(t, h.desk.Stop())
	db, err := service.OpenStore(t.Context(), filepath.Join(h.desk.DataFolder(), "deskyard.db"))
	must(t, err)
	_, err = db.UpdateUser(t.Context(), id, func(u *directory.User) error {
		u.SyncedAt = u.SyncedAt.Add(-by)
		return nil
	})
	must(t, err)
	must(t, db.Close())
	must(t, h.desk.Restart(t.Context()))
}

func (h *house) byLDAP(t *testing.T) {
	b := newBrowser(t, h.desk)
	if got := b.password(h.desk, ann, "not "+h.passwords[ann]); got.status == http.StatusOK || !strings.Contains(got.Text, "AADSTS50126") {
		t.Errorf("a wrong password: %d %s", got.status, got.Text)
	}
	got := b.password(h.desk, ann, h.passwords[ann])
	if got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.Text)
	}
	if names := b.desktops(h.desk, got.Access); len(names) != 0 {
		t.Fatalf("open before anybody assigned them: %v", names)
	}
	h.assign(t, h.find(t, "groups", "displayName", crowd), "Group")
	if names := b.desktops(h.desk, got.Access); !slices.Equal(names, []string{"SessionDesktop"}) {
		t.Errorf("her group opens %v", names)
	}
}

func (h *house) outOfTheGroup(t *testing.T) {
	b := newBrowser(t, h.desk)
	must(t, h.dc.tool(t.Context(), "group", "removemembers", crowd, "ann"))
	if names := b.desktops(h.desk, b.password(h.desk, ann, h.passwords[ann]).Access); len(names) != 0 {
		t.Errorf("still open: %v", names)
	}
	must(t, h.dc.tool(t.Context(), "group", "addmembers", crowd, "ann"))
	if names := b.desktops(h.desk, b.password(h.desk, ann, h.passwords[ann]).Access); len(names) != 1 {
		t.Errorf("a member again, she may open %v", names)
	}
}

func (h *house) disabledThere(t *testing.T) {
	b := newBrowser(t, h.desk)
	before := b.password(h.desk, ann, h.passwords[ann])
	must(t, h.dc.tool(t.Context(), "user", "disable", "ann"))
	if got := b.password(h.desk, ann, h.passwords[ann]); got.status == http.StatusOK || got.Error != "invalid_grant" {
		t.Errorf("a new sign-in: %d %s", got.status, got.Text)
	}
	h.older(t, ann, 15*time.Minute)
	if got := b.refresh(h.desk, before.Refresh); got.status == http.StatusOK || !strings.Contains(got.Text, "disabled") {
		t.Errorf("a new token: %d %s", got.status, got.Text)
	}
	must(t, h.dc.tool(t.Context(), "user", "enable", "ann"))
	if got := b.password(h.desk, ann, h.passwords[ann]); got.status != http.StatusOK {
		t.Errorf("enabled again: %d %s", got.status, got.Text)
	}
}

func (h *house) down(t *testing.T) {
	b := newBrowser(t, h.desk)
	before := b.password(h.desk, ann, h.passwords[ann])
	must(t, h.dc.stop())
	if got := b.password(h.desk, ann, h.passwords[ann]); got.status < 500 || strings.Contains(got.Text, "AADSTS50126") {
		t.Errorf("the right password: %d %s", got.status, got.Text)
	}
	if got := b.password(h.desk, hal, h.passwords[hal]); got.status != http.StatusOK {
		t.Errorf("a user of the service's own: %d %s", got.status, got.Text)
	}
	h.older(t, ann, time.Hour)
	if got := b.refresh(h.desk, before.Refresh); got.status != http.StatusOK {
		t.Errorf("who had signed in before: %d %s", got.status, got.Text)
	}
}

// strangersCertificate begins with the directory down.
func (h *house) strangersCertificate(t *testing.T) {
	b := newBrowser(t, h.desk)
	pairs := map[string][]byte{}
	for _, name := range []string{"ca.crt", "tls.crt", "tls.key"} {
		text, err := os.ReadFile(h.dc.file(name))
		must(t, err)
		pairs[name] = text
	}
	must(t, h.dc.certify())
	must(t, h.dc.start(t.Context()))
	if got := b.password(h.desk, ann, h.passwords[ann]); got.status < 500 {
		t.Errorf("the password went to a stranger: %d %s", got.status, got.Text)
	}
	must(t, h.dc.stop())
	for name, text := range pairs {
		must(t, os.WriteFile(h.dc.file(name), text, 0o600))
	}
	must(t, h.dc.start(t.Context()))
	if got := b.password(h.desk, ann, h.passwords[ann]); got.status != http.StatusOK {
		t.Errorf("the directory as it was: %d %s", got.status, got.Text)
	}
}

// provided signs Eve in by the provider.
func (h *house) provided(t *testing.T) (*browser, tokens) {
	t.Helper()
	b := newBrowser(t, h.desk, h.head)
	got := b.home(h.desk, b.away(h.desk, eve, h.passwords[eve]))
	if got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.Text)
	}
	return b, got
}

func (h *house) byProvider(t *testing.T) {
	b := newBrowser(t, h.desk, h.head)
	if p := b.away(h.desk, eve, "not "+h.passwords[eve]); p.to != "" || p.status != http.StatusUnauthorized {
		t.Errorf("a wrong password leads to %q: %d", p.to, p.status)
	}
	b, got := h.provided(t)
	h.assign(t, h.find(t, "users", "userPrincipalName", eve), "User")
	if names := b.desktops(h.desk, got.Access); !slices.Equal(names, []string{"SessionDesktop"}) {
		t.Errorf("she may open %v", names)
	}
}

func (h *house) newKeys(t *testing.T) {
	must(t, h.head.Stop())
	must(t, os.Remove(filepath.Join(h.head.DataFolder(), "keys", "identity", "issuer-keys.json")))
	must(t, h.head.Restart(t.Context()))
	h.provided(t)
}

func (h *house) disabledAtProvider(t *testing.T) {
	b, before := h.provided(t)
	c, err := service.NewClient(h.head.Bootstrap)
	must(t, err)
	must(t, c.Do(t.Context(), http.MethodPatch, fmt.Sprintf("/graph/v1.0/users/%s?api-version=1", eve), map[string]any{"accountEnabled": false}, nil))
	if p := newBrowser(t, h.desk, h.head).away(h.desk, eve, h.passwords[eve]); p.to != "" {
		t.Errorf("a new sign-in leads to %s", p.to)
	}
	if got := b.refresh(h.desk, before.Refresh); got.status != http.StatusOK {
		t.Errorf("within 12 hours: %d %s", got.status, got.Text)
	}
	h.older(t, eve, 12*time.Hour)
	if got := b.refresh(h.desk, before.Refresh); got.status == http.StatusOK || got.Error != "invalid_grant" {
		t.Errorf("after 12 hours: %d %s", got.status, got.Text)
	}
}
