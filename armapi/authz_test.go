package armapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/rbac"
	"github.com/deskyard/deskyard/sqlstore"
)

const (
	testSub    = "11111111-1111-4111-8111-111111111111"
	testTenant = "22222222-2222-4222-8222-222222222222"
	subScope   = "/subscriptions/" + testSub
	rgScope    = subScope + "/resourceGroups/rg1"
	authNS     = "/providers/Microsoft.Authorization/"
)

// people is a directory and an authenticator: a bearer token is a person's name.
type people map[string]deskyard.Principal

func (p people) Authenticate(r *http.Request) (deskyard.Principal, error) {
	who, ok := p[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if !ok {
		return who, arm.Errorf(arm.Unauthenticated, "InvalidAuthenticationToken", "The access token is invalid.")
	}
	return who, nil
}

func (p people) Exists(_ context.Context, id string) (string, bool, error) {
	for _, who := range p {
		if strings.EqualFold(who.ObjectID, id) {
			return map[string]string{"User": "User", "Application": "ServicePrincipal", "Group": "Group"}[who.Kind], true, nil
		}
	}
	return "", false, nil
}

func (p people) GroupsOf(_ context.Context, id string) ([]string, error) {
	for _, who := range p {
		if strings.EqualFold(who.ObjectID, id) {
			return who.Groups, nil
		}
	}
	return nil, nil
}

// authzDesk is a management API with roles, on a store of its own.
type authzDesk struct {
	t      *testing.T
	url    string
	people people
	store  deskyard.Store
}

func personID(n int) string { return fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012d", n) }
func guid(n int) string     { return fmt.Sprintf("bbbbbbbb-0000-4000-8000-%012d", n) }

func newAuthzDesk(t *testing.T) *authzDesk {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	db, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "desk.db"), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	staff := people{
		"owner":   {ObjectID: personID(1), Name: "owner@example.com", Kind: "User", TenantID: testTenant},
		"alice":   {ObjectID: personID(2), Name: "alice@example.com", Kind: "User", Groups: []string{personID(9)}},
		"robot":   {ObjectID: personID(3), Name: "robot", Kind: "Application"},
		"keepers": {ObjectID: personID(9), Name: "keepers", Kind: "Group"},
	}
	roles := &rbac.Authorizer{Store: db}
	s, err := New(Options{
		Store: db, Auth: staff, Access: roles, Roles: roles, Principals: staff, Log: quiet,
		Tenant: Tenant{ID: testTenant, Name: "Example"}, Subscriptions: []Subscription{{ID: testSub, Name: "Desks"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler())
	t.Cleanup(web.Close)
	d := &authzDesk{t: t, url: web.URL, people: staff, store: db}
	err = db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		first := rbac.Assignment{Name: guid(1), Scope: arm.ResourceID{Subscription: testSub}, RoleGUID: rbac.Owner, PrincipalID: personID(1), PrincipalType: "User"}
		row, err := first.Row()
		if err != nil {
			return err
		}
		if _, err = tx.PutResource(ctx, row); err != nil {
			return err
		}
		group := deskyard.Resource{ID: arm.MustParseID(rgScope), Envelope: arm.Envelope{Location: "eastus"}, Properties: json.RawMessage(`{}`)}
		_, err = tx.PutResource(ctx, group)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// call sends a request as a person and returns status and body.
func (d *authzDesk) call(who, method, path, body string) (int, map[string]any) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+who)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	var doc map[string]any
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &doc); err != nil {
			d.t.Fatalf("%s %s answered no JSON: %s", method, path, raw)
		}
	}
	return resp.StatusCode, doc
}

func (d *authzDesk) must(status int, who, method, path, body string) map[string]any {
	d.t.Helper()
	got, doc := d.call(who, method, path, body)
	if got != status {
		d.t.Fatalf("%s %s as %s: status %d, want %d: %v", method, path, who, got, status, doc)
	}
	return doc
}

// refused expects an error code.
func (d *authzDesk) refused(status int, code, who, method, path, body string) string {
	d.t.Helper()
	doc := d.must(status, who, method, path, body)
	e, _ := doc["error"].(map[string]any)
	if e["code"] != code {
		d.t.Errorf("%s %s: code %v, want %s: %v", method, path, e["code"], code, e["message"])
	}
	message, _ := e["message"].(string)
	return message
}

func assignmentPath(scope string, n int) string {
	return scope + authNS + "roleAssignments/" + guid(n) + "?api-version=2022-04-01"
}

func assignmentJSON(role, principal string) string {
	return fmt.Sprintf(`{"properties":{"roleDefinitionId":"%s%sroleDefinitions/%s","principalId":"%s"}}`, subScope, authNS, role, principal)
}

func names(doc map[string]any) []string {
	var all []string
	list, _ := doc["value"].([]any)
	for _, v := range list {
		name, _ := v.(map[string]any)["name"].(string)
		all = append(all, name)
	}
	return all
}

func TestARoleAssignmentGivesAccessAtOnceAndItsRemovalTakesIt(t *testing.T) {
	d := newAuthzDesk(t)
	group := rgScope + "?api-version=2021-04-01"
	message := d.refused(403, "AuthorizationFailed", "alice", "GET", group, "")
	for _, part := range []string{"alice@example.com", personID(2), "'Microsoft.Resources/subscriptions/resourceGroups/read'", rgScope} {
		if !strings.Contains(message, part) {
			t.Errorf("the refusal does not name %s: %s", part, message)
		}
	}
	doc := d.must(201, "owner", "PUT", assignmentPath(rgScope, 2), assignmentJSON(rbac.Reader, personID(2)))
	props := doc["properties"].(map[string]any)
	if doc["id"] != rgScope+authNS+"roleAssignments/"+guid(2) || doc["type"] != "Microsoft.Authorization/roleAssignments" ||
		props["scope"] != rgScope || props["principalType"] != "User" || props["createdBy"] != personID(1) || props["createdOn"] == "" {
		t.Errorf("the answer is not Azure's shape: %v", doc)
	}
	d.must(200, "alice", "GET", group, "")
	d.refused(403, "AuthorizationFailed", "alice", "PUT", group, `{"location":"eastus"}`)
	d.refused(403, "AuthorizationFailed", "alice", "PUT", assignmentPath(rgScope, 3), assignmentJSON(rbac.Owner, personID(2)))
	d.must(200, "owner", "DELETE", assignmentPath(rgScope, 2), "")
	d.refused(403, "AuthorizationFailed", "alice", "GET", group, "")
	d.must(204, "owner", "DELETE", assignmentPath(rgScope, 2), "")
	d.refused(404, "RoleAssignmentNotFound", "owner", "GET", assignmentPath(rgScope, 2), "")
}

func TestAGroupsAssignmentReachesItsMembers(t *testing.T) {
	d := newAuthzDesk(t)
	d.must(201, "owner", "PUT", assignmentPath(rgScope, 2), assignmentJSON(rbac.Reader, personID(9)))
	d.must(200, "alice", "GET", rgScope+"?api-version=2021-04-01", "")
}

func TestAnAssignmentThatExistsOrNamesNothingIsRefused(t *testing.T) {
	d := newAuthzDesk(t)
	d.must(201, "owner", "PUT", assignmentPath(rgScope, 2), assignmentJSON(rbac.Reader, personID(2)))
	d.must(200, "owner", "PUT", assignmentPath(rgScope, 2), assignmentJSON(rbac.Reader, personID(2)))
	d.refused(409, "RoleAssignmentExists", "owner", "PUT", assignmentPath(rgScope, 3), assignmentJSON(rbac.Reader, strings.ToUpper(personID(2))))
	d.refused(409, "RoleAssignmentUpdateNotPermitted", "owner", "PUT", assignmentPath(rgScope, 2), assignmentJSON(rbac.Contributor, personID(2)))
	d.refused(400, "RoleDefinitionDoesNotExist", "owner", "PUT", assignmentPath(rgScope, 4), assignmentJSON(guid(77), personID(2)))
	d.refused(400, "PrincipalNotFound", "owner", "PUT", assignmentPath(rgScope, 4), assignmentJSON(rbac.Reader, personID(77)))
	d.refused(400, "UnmatchedPrincipalType", "owner", "PUT", assignmentPath(rgScope, 4),
		strings.Replace(assignmentJSON(rbac.Reader, personID(2)), `"principalId"`, `"principalType":"Group","principalId"`, 1))
	d.refused(400, "InvalidRoleAssignmentId", "owner", "PUT", rgScope+authNS+"roleAssignments/mine?api-version=2022-04-01", assignmentJSON(rbac.Reader, personID(2)))
	d.refused(404, "ResourceGroupNotFound", "owner", "PUT", assignmentPath(subScope+"/resourceGroups/nowhere", 4), assignmentJSON(rbac.Reader, personID(2)))
	d.refused(404, "ResourceNotFound", "owner", "PUT", assignmentPath(rgScope+"/providers/Microsoft.DesktopVirtualization/hostPools/none", 4), assignmentJSON(rbac.Reader, personID(2)))
	d.refused(400, "RoleAssignmentConditionNotSupported", "owner", "PUT", assignmentPath(rgScope, 4),
		strings.Replace(assignmentJSON(rbac.Reader, personID(2)), `"principalId"`, `"condition":"false","principalId"`, 1))
	// A service principal that is not replicated yet, as Azure's clients say it.
	d.must(201, "owner", "PUT", assignmentPath(rgScope, 5),
		strings.Replace(assignmentJSON(rbac.Reader, personID(77)), `"principalId"`, `"principalType":"ServicePrincipal","principalId"`, 1))
}

func TestTheLastOwnerOfASubscriptionStays(t *testing.T) {
	d := newAuthzDesk(t)
	d.refused(412, "CannotDeleteLastRbacAdminAssignment", "owner", "DELETE", assignmentPath(subScope, 1), "")
	// A second Owner whose principal nobody knows does not count.
	d.must(201, "owner", "PUT", assignmentPath(subScope, 2),
		strings.Replace(assignmentJSON(rbac.Owner, personID(77)), `"principalId"`, `"principalType":"ServicePrincipal","principalId"`, 1))
	d.refused(412, "CannotDeleteLastRbacAdminAssignment", "owner", "DELETE", assignmentPath(subScope, 1), "")
	d.must(201, "owner", "PUT", assignmentPath(subScope, 3), assignmentJSON(rbac.Owner, personID(3)))
	d.must(200, "owner", "DELETE", assignmentPath(subScope, 1), "")
	d.refused(403, "AuthorizationFailed", "owner", "GET", rgScope+"?api-version=2021-04-01", "")
	d.refused(412, "CannotDeleteLastRbacAdminAssignment", "robot", "DELETE", assignmentPath(subScope, 3), "")
}

func TestAssignmentsAreListedAtAboveAndBelowAScope(t *testing.T) {
	d := newAuthzDesk(t)
	d.must(201, "owner", "PUT", assignmentPath(rgScope, 2), assignmentJSON(rbac.Reader, personID(2)))
	d.must(201, "owner", "PUT", assignmentPath(rgScope, 3), assignmentJSON(rbac.Reader, personID(9)))
	list := func(scope, filter string) string {
		return strings.Join(names(d.must(200, "owner", "GET", scope+authNS+"roleAssignments?api-version=2020-04-01-preview"+filter, "")), " ")
	}
	for _, c := range []struct{ scope, filter, want string }{
		{subScope, "", guid(1) + " " + guid(2) + " " + guid(3)},
		{subScope, "&$filter=atScope()", guid(1)},
		{rgScope, "&$filter=atScope%28%29", guid(1) + " " + guid(2) + " " + guid(3)},
		{rgScope, "&$filter=principalId+eq+'" + personID(2) + "'", guid(2)},
		{rgScope, "&$filter=assignedTo('" + personID(2) + "')", guid(2) + " " + guid(3)},
		{subScope, "&$filter=atScope()+and+assignedTo('" + personID(2) + "')", ""},
	} {
		got := list(c.scope, c.filter)
		sorted := strings.Fields(got)
		if want := strings.Fields(c.want); len(sorted) != len(want) || !sameSet(sorted, want) {
			t.Errorf("list at %s%s: %v, want %v", c.scope, c.filter, sorted, want)
		}
	}
	d.refused(400, "UnsupportedQuery", "owner", "GET", subScope+authNS+"roleAssignments?api-version=2022-04-01&$filter=color+eq+'red'", "")
}

func sameSet(a, b []string) bool {
	for _, s := range a {
		if !containsFold(b, s) {
			return false
		}
	}
	return true
}

func TestRolesAreFoundByNameAsTerraformAndAzAsk(t *testing.T) {
	d := newAuthzDesk(t)
	for _, blank := range []string{"+", "%20"} {
		filter := strings.ReplaceAll("&$filter=roleName eq 'Desktop Virtualization User'", " ", blank)
		doc := d.must(200, "alice", "GET", rgScope+authNS+"roleDefinitions?api-version=2018-01-01-preview"+filter, "")
		list := doc["value"].([]any)
		if len(list) != 1 {
			t.Fatalf("found %d roles, want one: %v", len(list), doc)
		}
		role := list[0].(map[string]any)
		if role["id"] != subScope+authNS+"roleDefinitions/"+rbac.DesktopUser || role["name"] != rbac.DesktopUser ||
			role["properties"].(map[string]any)["type"] != "BuiltInRole" {
			t.Errorf("the role is not Azure's: %v", role)
		}
	}
	if got := len(names(d.must(200, "alice", "GET", authNS+"roleDefinitions?api-version=2022-05-01-preview", ""))); got != len(rbac.BuiltIn()) {
		t.Errorf("%d roles are listed at the root, want %d", got, len(rbac.BuiltIn()))
	}
	d.must(200, "alice", "GET", authNS+"roleDefinitions/"+rbac.Owner+"?api-version=2022-04-01", "")
	d.refused(404, "RoleDefinitionDoesNotExist", "owner", "GET", authNS+"roleDefinitions/"+guid(77)+"?api-version=2022-04-01", "")
}

func TestACustomRoleLivesFromPutToDelete(t *testing.T) {
	d := newAuthzDesk(t)
	path := subScope + authNS + "roleDefinitions/" + guid(50) + "?api-version=2022-04-01"
	body := `{"properties":{"roleName":"Group Watcher","type":"CustomRole","description":"sees groups",
		"permissions":[{"actions":["Microsoft.Resources/subscriptions/resourceGroups/*"],"notActions":["*/delete"]}],"assignableScopes":["` + rgScope + `"]}}`
	d.refused(403, "AuthorizationFailed", "alice", "PUT", path, body)
	d.must(201, "owner", "PUT", path, body)
	d.must(201, "owner", "PUT", path, strings.Replace(body, "sees groups", "sees and writes groups", 1))
	other := strings.Replace(path, guid(50), guid(51), 1)
	d.refused(409, "RoleDefinitionWithSameNameExists", "owner", "PUT", other, body)
	d.refused(409, "RoleDefinitionWithSameNameExists", "owner", "PUT", other, strings.Replace(body, "Group Watcher", "contributor", 1))
	d.refused(400, "InvalidParameter", "owner", "PUT", other, strings.Replace(body, rgScope, "/", 1))
	d.refused(400, "RoleDefinitionIsBuiltIn", "owner", "PUT", strings.Replace(path, guid(50), rbac.Reader, 1), strings.Replace(body, "Group Watcher", "New", 1))
	d.refused(400, "RoleAssignmentScopeNotAssignableToRoleDefinition", "owner", "PUT", assignmentPath(subScope, 6), assignmentJSON(guid(50), personID(2)))
	d.must(201, "owner", "PUT", assignmentPath(rgScope, 6), assignmentJSON(guid(50), personID(2)))
	d.must(200, "alice", "PUT", rgScope+"?api-version=2021-04-01", `{"location":"eastus"}`)
	d.refused(403, "AuthorizationFailed", "alice", "DELETE", rgScope+"?api-version=2021-04-01", "")
	d.refused(400, "RoleDefinitionHasAssignments", "owner", "DELETE", path, "")
	d.must(200, "owner", "DELETE", assignmentPath(rgScope, 6), "")
	d.must(200, "owner", "DELETE", path, "")
	d.must(204, "owner", "DELETE", path, "")
}

func TestWhoManagesOneGroupMakesNoRoleForAnother(t *testing.T) {
	d := newAuthzDesk(t)
	d.must(201, "owner", "PUT", assignmentPath(rgScope, 2), assignmentJSON(rbac.UserAccessAdministrator, personID(2)))
	body := `{"properties":{"roleName":"Wide","permissions":[{"actions":["*"]}],"assignableScopes":["` + rgScope + `","` + subScope + `"]}}`
	path := rgScope + authNS + "roleDefinitions/" + guid(52) + "?api-version=2022-04-01"
	message := d.refused(403, "AuthorizationFailed", "alice", "PUT", path, body)
	if !strings.Contains(message, "over scope '"+subScope+"'") {
		t.Errorf("the refusal does not name the subscription: %s", message)
	}
	d.must(201, "alice", "PUT", path, strings.Replace(body, `,"`+subScope+`"`, "", 1))
}

func TestAGroupMadeAnewDoesNotInheritTheOldOnesAssignments(t *testing.T) {
	d := newAuthzDesk(t)
	group := rgScope + "?api-version=2021-04-01"
	d.must(201, "owner", "PUT", assignmentPath(rgScope, 2), assignmentJSON(rbac.Reader, personID(2)))
	d.must(200, "alice", "GET", group, "")
	d.must(202, "owner", "DELETE", group, "")
	d.must(201, "owner", "PUT", group, `{"location":"eastus"}`)
	d.refused(403, "AuthorizationFailed", "alice", "GET", group, "")
	d.refused(404, "RoleAssignmentNotFound", "owner", "GET", assignmentPath(rgScope, 2), "")
}

func TestPermissionsSayWhatTheCallerMayDo(t *testing.T) {
	d := newAuthzDesk(t)
	path := rgScope + authNS + "permissions?api-version=2022-04-01"
	if list := d.must(200, "alice", "GET", path, "")["value"].([]any); len(list) != 0 {
		t.Errorf("a stranger has permissions: %v", list)
	}
	list := d.must(200, "owner", "GET", path, "")["value"].([]any)
	if len(list) != 1 || fmt.Sprint(list[0].(map[string]any)["actions"]) != "[*]" {
		t.Errorf("the owner's permissions are %v", list)
	}
}

func TestRoleChangesAreAudited(t *testing.T) {
	d := newAuthzDesk(t)
	d.must(201, "owner", "PUT", assignmentPath(rgScope, 2), assignmentJSON(rbac.Reader, personID(2)))
	d.refused(403, "AuthorizationFailed", "alice", "PUT", assignmentPath(rgScope, 3), assignmentJSON(rbac.Owner, personID(2)))
	page, err := d.store.AuditEvents(t.Context(), deskyard.AuditQuery{Action: "Microsoft.Authorization/roleAssignments/write"})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Items) != 2 || page.Items[0].Code != "AuthorizationFailed" || page.Items[0].Caller != "alice@example.com" ||
		page.Items[1].Caller != "owner@example.com" || !strings.Contains(page.Items[1].Detail, personID(2)) {
		t.Errorf("the audit log holds %+v", page.Items)
	}
}

func TestProviderOperationsNameWhatRolesCanList(t *testing.T) {
	d := newAuthzDesk(t)
	doc := d.must(200, "alice", "GET", authNS+"providerOperations/microsoft.authorization?api-version=2018-01-01-preview&$expand=resourceTypes", "")
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"name":"Microsoft.Authorization/roleAssignments/write"`) {
		t.Errorf("the operations of Microsoft.Authorization lack roleAssignments/write: %s", text)
	}
}

func FuzzFilterNeverPanicsAndKeepsItsValues(f *testing.F) {
	f.Add("atScope() and principalId eq 'a''b'")
	f.Add("assignedTo('x')")
	f.Add("roleName eq 'Desktop Virtualization User'")
	f.Fuzz(func(t *testing.T, s string) {
		terms, err := parseFilter(s)
		if err != nil {
			return
		}
		for _, term := range terms {
			if term.name == "" || len(term.value) > len(s) {
				t.Errorf("%q gave %+v", s, term)
			}
			again, err := parseFilter("n eq '" + strings.ReplaceAll(term.value, "'", "''") + "'")
			if err != nil || len(again) != 1 || again[0].value != term.value {
				t.Errorf("value %q did not survive: %v %v", term.value, again, err)
			}
		}
	})
}
