package armapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/rbac"
)

// FuzzServeNeverFaults sends any method, path, query and body to the whole API: the
// answer is never a 500, and what is not a success is ARM's error body.
func FuzzServeNeverFaults(f *testing.F) {
	for _, seed := range [][4]string{
		{"GET", homeSub + "/resourcegroups/rg1", "api-version=2021-04-01", ""},
		{"PUT", makers + "//hp1/", "api-version=2024-04-03", `{"location":"eastus","tags":{"a":null},"properties":{"color":"x","labels":{"a":"b"}}}`},
		{"PATCH", makers + "/hp1", "Api-Version=2024-04-03", `{"properties":{"labels":null,"Size":1e2}}`},
		{"DELETE", homeGroup + "/providers/Microsoft.Resources/tags/default", "api-version=2021-04-01", ""},
		{"GET", homeSub + "/resources", "api-version=2021-04-01&$filter=substringof('a',name) and not (tagName eq 'b''c')&$skipToken=aGk&$top=3", ""},
		{"GET", homeSub + "/providers/Microsoft.Insights/eventtypes/management/values", "api-version=2015-04-01&$filter=eventTimestamp ge '2026-01-01'&$skipToken=MV9h", ""},
		{"GET", "/metadata/endpoints", "api-version=2015-01-01", ""},
		{"POST", homeGroup + "/exportTemplate", "api-version=2021-04-01", `{"resources":["*"]}`},
		{"PUT", homeGroup + "/providers/Microsoft.Authorization/roleAssignments/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "api-version=2022-04-01",
			`{"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7","principalId":"x"}}`},
		{"GET", homeGroup + "/providers/Microsoft.Authorization/roleAssignments", "api-version=2022-04-01&$filter=atScope()", ""},
		{"GET", "/providers/Microsoft.DesktopVirtualization/operations", "api-version=2024-04-03", ""},
		{"PUT", homeGroup + "/providers/Microsoft.DesktopVirtualization/hostPools/hp1", "api-version=2024-04-03",
			`{"location":"eastus","properties":{"hostPoolType":"Pooled","loadBalancerType":"BreadthFirst","preferredAppGroupType":"Desktop","registrationInfo":{"expirationTime":"2026-03-05T00:00:00.0000000Z","registrationTokenOperation":"Update"}}}`},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	s := newService(f, func(o *Options) {
		o.Now = time.Now // or the bucket would run dry
		o.Tokens, o.Roles, o.Principals = keyNames{}, &rbac.Authorizer{Store: o.Store}, people{}
	})
	s.group("rg1")
	s.maker("hp1")
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		if !knownMethod(method) {
			return
		}
		req := httptest.NewRequest(method, "https://desk.example/", strings.NewReader(body))
		req.URL.Path, req.URL.RawQuery = path, query
		req.Header.Set("Authorization", "Bearer admin")
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.server.Handler().ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Fatalf("%s %q?%q %q answers %d %s\n%s", method, path, query, body, w.Code, w.Body, s.log)
		}
		if w.Code >= 400 && method != http.MethodHead {
			var e struct{ Error arm.Error }
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error.Code == "" {
				t.Fatalf("%s %q answers %d without ARM's error body: %s", method, path, w.Code, w.Body)
			}
		}
	})
}

// keyNames signs a key with its id.
type keyNames struct{}

func (keyNames) Registration(k deskyard.RegistrationKey) (string, error) { return k.ID, nil }

func knownMethod(m string) bool {
	switch m {
	case "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE":
		return true
	}
	return false
}

func FuzzFindIsIndifferentToCaseAndEmptyParts(f *testing.F) {
	f.Add(homeSub + "/resourcegroups/rg1/providers/Test.Widgets/widgetMakers/hp1")
	f.Add(homeSub + "/resourcegroups/rg1/providers/Test.Widgets/widgetMakers/hp1/revealSecret")
	f.Add(homeSub + "/providers/Test.Widgets/register")
	f.Add("/subscriptions/s/resourcegroups/g/providers/Test.Widgets/widgetMakers/hp1/providers/Microsoft.Resources/tags/default")
	r, err := newRoutes(append((&Server{}).types(), widgetTypes()...), (&Server{}).doors())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		a, errA := r.find("GET", path)
		b, errB := r.find("GET", strings.ReplaceAll(path, "/", "//")+"/")
		if len(path)*2+1 > arm.MaxIDLength {
			return
		}
		if (errA == nil) != (errB == nil) && strings.HasPrefix(path, "/") {
			t.Fatalf("%q: %v, with empty parts: %v", path, errA, errB)
		}
		if errA != nil || errB != nil {
			return
		}
		if a.row != b.row || a.door != b.door || !a.id.Equal(b.id) || a.collection != b.collection || !strings.EqualFold(a.action, b.action) {
			t.Fatalf("%q is %+v, with empty parts %+v", path, a, b)
		}
		if a.row == nil && a.door == nil {
			t.Fatalf("%q is neither a type nor a door", path)
		}
	})
}

func FuzzODataNeverPanicsAndMatchesItsOwnTerms(f *testing.F) {
	for _, s := range []string{"name eq 'a'", "name eq 'it''s' and not (location ne 'b')", "substringof('a', name) or startswith(name,'b')",
		"name ge 2026-01-01T00:00:00Z", "((((name eq 'a'))))", "not not name eq 'a'", "name eq", "'", "name eq 'a' and"} {
		f.Add(s, "a")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		filter, err := parseOData(text, "name", "location")
		if err != nil {
			if refusalOf(err).status != http.StatusBadRequest {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		matched := filter.match(func(string) []string { return []string{value} })
		if v, must := filter.must("name", "eq"); must && matched && !strings.EqualFold(v, value) && strings.ToLower(v) != strings.ToLower(value) {
			t.Fatalf("%q must be %q and matches %q", text, v, value)
		}
	})
}

func FuzzSkipTokenCarriesEveryKey(f *testing.F) {
	f.Add("/subscriptions/s/resourcegroups/rg1", "aGk")
	f.Add("1772366400_019", "====")
	f.Fuzz(func(t *testing.T, key, token string) {
		if key != "" && checkPath(key) == nil {
			if got, err := parseSkipToken(skipToken(key)); len(skipToken(key)) <= maxSkipToken && (err != nil || got != key) {
				t.Fatalf("%q comes back as %q, %v", key, got, err)
			}
		}
		if after, err := parseSkipToken(token); err == nil && checkPath(after) != nil {
			t.Fatalf("token %q carries %q", token, after)
		}
	})
}

func FuzzMergePatchFollowsTheRFC(f *testing.F) {
	f.Add(`{"a":"b"}`, `{"A":"c"}`)
	f.Add(`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`)
	f.Add(`{"a":[{"b":"c"}]}`, `{"a":[1]}`)
	f.Add(`{}`, `{"a":{"bb":{"ccc":null}}}`)
	f.Fuzz(func(t *testing.T, stored, patch string) {
		var s, p map[string]any
		if json.Unmarshal([]byte(stored), &s) != nil || json.Unmarshal([]byte(patch), &p) != nil {
			return
		}
		merged, err := mergePatch(json.RawMessage(stored), json.RawMessage(patch))
		if err != nil {
			return // refused for NUL
		}
		var m map[string]any
		if err := json.Unmarshal(merged, &m); err != nil {
			t.Fatal(err)
		}
		again, err := mergePatch(merged, json.RawMessage(patch))
		if err != nil {
			t.Fatal(err)
		}
		var twice map[string]any
		if err := json.Unmarshal(again, &twice); err != nil {
			t.Fatal(err)
		}
		for k, v := range p {
			if v == nil {
				for have := range m {
					if strings.EqualFold(have, k) && !hasOther(p, k) && !hasOther(s, have) {
						t.Fatalf("%s on %s leaves %q", patch, stored, k)
					}
				}
			}
		}
		if len(twice) > len(m) {
			t.Fatalf("%s on %s is not idempotent: %s, then %s", patch, stored, merged, again)
		}
	})
}

// hasOther reports whether m has k in another spelling too.
func hasOther(m map[string]any, k string) bool {
	for have := range m {
		if have != k && strings.EqualFold(have, k) {
			return true
		}
	}
	return false
}

func FuzzParseBodyRefusesOrKeepsItsBounds(f *testing.F) {
	f.Add(`{"location":"a","tags":{"a":"b"},"identity":{"type":"None"},"properties":{}}`)
	f.Add(`{"TAGS":null,"sku":{"name":"x"},"kind":"k","managedBy":"/x","plan":{}}`)
	f.Fuzz(func(t *testing.T, body string) {
		b, err := parseBody([]byte(body))
		if err != nil {
			if refusalOf(err).status != http.StatusBadRequest {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if len(b.tags) > maxTags {
			t.Fatalf("%d tags", len(b.tags))
		}
		e := &arm.Envelope{}
		row := &ResourceType{Tracked: true}
		if err := b.apply(&Server{}, row, e, true); err != nil {
			return
		}
		if _, err := row.RenderPlain(t.Context(), View{}, []deskyard.Resource{{Envelope: *e}}); err != nil {
			t.Fatal(err)
		}
	})
}
