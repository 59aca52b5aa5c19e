package armapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/rbac"
)

// TestNoTypeOfTheTableFaultsOnBadInput asks every type and action of the table for
// what clients get wrong: the answer is ARM's error body, never a 500.
func TestNoTypeOfTheTableFaultsOnBadInput(t *testing.T) {
	f := newService(t, func(o *Options) {
		o.Tokens, o.Roles, o.Principals = keyNames{}, &rbac.Authorizer{Store: o.Store}, people{}
	})
	f.group("rg1")
	for _, row := range f.server.routes.rows {
		version := "?api-version=" + row.Versions[len(row.Versions)-1]
		missing, collection := pathOf(row, "missing")
		for _, method := range []string{"GET", "PUT", "PATCH", "DELETE", "POST", "HEAD"} {
			for _, body := range []string{"", "{", "[]", "null", `"text"`, `{"properties":7}`, `{"location":"eastus","properties":{"x":"\u0000"}}`, `{"location":"eastus"}`} {
				for _, target := range []string{missing, collection, missing + strings.Repeat("x", 600), missing + "/nothing"} {
					f.fails(t, method, target+version, body)
				}
			}
		}
		for _, version := range []string{"", "?api-version=", "?api-version=1", "?api-version=1999-01-01", "?api-version=2024-99-99"} {
			if a := f.fails(t, "GET", missing+version, ""); a.status != 400 {
				t.Errorf("GET %s%s answers %d", missing, version, a.status)
			}
		}
		for _, a := range row.Actions {
			if a.Path == "explode" { // the tests' own fault
				continue
			}
			method := a.Method
			if method == "" {
				method = http.MethodPost
			}
			target := missing
			if a.Collection {
				target = collection
			}
			if a.Path != "" {
				target += "/" + a.Path
			}
			for _, body := range []string{"", "{", "[]", "{}", `{"properties":[]}`} {
				f.fails(t, method, target+version, body)
			}
		}
	}
}

// fails sends a request that must not end in a fault of the service. A refusal must
// carry ARM's error body.
func (f *service) fails(t *testing.T, method, target, body string) answer {
	t.Helper()
	var sent any
	if body != "" {
		sent = body
	}
	a := f.do(method, target, sent)
	if a.status >= 500 && a.status != http.StatusServiceUnavailable {
		t.Fatalf("%s %s with %q answers %d: %s\n%s", method, target, body, a.status, a.text, f.log)
	}
	var e struct{ Error arm.Error }
	if a.status >= 400 && method != "HEAD" && (json.Unmarshal([]byte(a.text), &e) != nil || e.Error.Code == "" || e.Error.Message == "") {
		t.Errorf("%s %s with %q answers %d without an error body: %s", method, target, body, a.status, a.text)
	}
	return a
}

// pathOf is a resource of the type, all of whose names are name, and its collection.
func pathOf(row *ResourceType, name string) (resource, collection string) {
	base := map[Level]string{InGroup: homeGroup, InSubscription: homeSub, InTenant: "", Extension: homeGroup}[row.Level]
	if row.Namespace == resourcesNamespace && row.Path == "resourceGroups" {
		return homeSub + "/resourceGroups/" + name, homeSub + "/resourceGroups"
	}
	at := base + "/providers/" + row.Namespace
	parts := strings.Split(row.Path, "/")
	for i, p := range parts {
		at += "/" + p
		if i == len(parts)-1 {
			collection = at
		}
		at += "/" + name
	}
	return at, collection
}

func TestATypeThatContradictsItselfIsRefusedAtTheStart(t *testing.T) {
	row := ResourceType{Namespace: "A.B", Path: "c", Versions: []string{"2024-01-01"}}
	if _, err := newRoutes([]ResourceType{row, row}, nil); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a type that stands twice: %v", err)
	}
	row.Verbs.Get = true
	if _, err := newRoutes([]ResourceType{row}, nil); err == nil || !strings.Contains(err.Error(), "no model") {
		t.Errorf("a type without a model: %v", err)
	}
}
