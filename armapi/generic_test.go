package armapi

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestPutCreatesWith201ThenReplacesWith200(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	a := f.do("PUT", makers+"/Hp1"+vw, `{"Location":"East US","TAGS":{"a":"b"},"id":"/nonsense","name":"other","properties":{"COLOR":"red","objectId":"forged","unknown":1}}`).want(201)
	a.is("id", homeSub+"/resourcegroups/rg1/providers/Test.Widgets/widgetmakers/Hp1").is("name", "Hp1").
		is("type", "Test.Widgets/widgetmakers").is("location", "eastus").is("tags.a", "b").is("kind", nil).
		is("identity.type", "None").is("properties.color", "red").is("properties.size", 7).is("properties.objectId", "made").
		is("systemData.createdBy", "admin").is("systemData.createdAt", "2026-03-01T12:00:00.123456Z")
	if l := a.header.Get("Location"); l != "" {
		t.Errorf("Location is %q: clients would poll it", l)
	}
	if !strings.Contains(a.text, `"kind":null`) || !strings.Contains(a.text, `"labels":null`) {
		t.Errorf("unset members must be null: %s", a.text)
	}
	f.now = f.now.Add(1e9)
	f.do("PUT", makers+"/Hp1"+vw, `{"location":"eastus","properties":{"size":3}}`).want(200).
		is("tags", nil).is("properties.color", nil).is("properties.size", 3).is("properties.objectId", "made").
		is("systemData.createdAt", "2026-03-01T12:00:00.123456Z").is("systemData.lastModifiedAt", "2026-03-01T12:00:01.123456Z")
}

func TestPathsAreReadAsClientsWriteThem(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.maker("hp1")
	for _, path := range []string{
		homeSub + "/resourcegroups/rg1/providers/Test.Widgets//widgetMakers/hp1",
		homeSub + "/resourceGroups/RG1/providers/test.widgets/WIDGETMAKERS/HP1/",
		strings.ToUpper(homeSub) + "/RESOURCEGROUPS/rg1/PROVIDERS/Test.Widgets/widgetmakers/hp1",
		"/" + homeSub + "//resourcegroups//rg1/providers/Test.Widgets/widgetmakers//hp1//",
	} {
		f.do("GET", path+vw, nil).want(200).is("name", "hp1")
	}
	f.do("GET", makers+"/hp1?Api-Version=2024-04-03", nil).want(200)
	f.do("POST", homeSub+"/resourcegroups/rg1/providers/Test.Widgets//widgetmakers/hp1/REVEALsecret"+vw, nil).want(200).is("secret", "s")
}

func TestRefusalsCarryAzuresCodesAndNever500(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.maker("hp1")
	long := strings.Repeat("x", 65)
	for _, c := range []struct {
		name, method, target, body string
		status                     int
		code                       string
	}{
		{"no version", "GET", makers + "/hp1", "", 400, "MissingApiVersionParameter"},
		{"not a version", "GET", makers + "/hp1?api-version=yesterday", "", 400, "InvalidApiVersionParameter"},
		{"no such day", "GET", makers + "/hp1?api-version=2024-13-45", "", 400, "InvalidApiVersionParameter"},
		{"unknown version", "GET", makers + "/hp1?api-version=2031-01-01", "", 400, "NoRegisteredProviderFound"},
		{"unknown version of groups", "GET", homeGroup + "?api-version=2001-01-01", "", 400, "InvalidApiVersionParameter"},
		{"unknown namespace", "GET", homeGroup + "/providers/Contoso.Nothing/things/x" + vw, "", 404, "InvalidResourceNamespace"},
		{"unknown type", "GET", homeGroup + "/providers/Test.Widgets/things/x" + vw, "", 404, "InvalidResourceType"},
		{"unknown child type", "GET", makers + "/hp1/screws/x" + vw, "", 404, "InvalidResourceType"},
		{"unknown path", "GET", "/nothing/here" + vw, "", 404, "NotFound"},
		{"root", "GET", "/" + vw, "", 404, "NotFound"},
		{"type at the wrong level", "GET", homeSub + "/providers/Test.Widgets/widgetMakers/hp1" + vw, "", 404, "InvalidResourceType"},
		{"type below another", "GET", makers + "/hp1/providers/Test.Widgets/widgetMakers/x" + vw, "", 404, "InvalidResourceType"},
		{"unknown subscription", "GET", "/subscriptions/33333333-3333-3333-3333-333333333333/resourcegroups" + v21, "", 404, "SubscriptionNotFound"},
		{"unknown group", "GET", homeSub + "/resourcegroups/nope" + v21, "", 404, "ResourceGroupNotFound"},
		{"resource in unknown group", "GET", homeSub + "/resourcegroups/nope/providers/Test.Widgets/widgetMakers/x" + vw, "", 404, "ResourceGroupNotFound"},
		{"list in unknown group", "GET", homeSub + "/resourcegroups/nope/providers/Test.Widgets/widgetMakers" + vw, "", 404, "ResourceGroupNotFound"},
		{"put in unknown group", "PUT", homeSub + "/resourcegroups/nope/providers/Test.Widgets/widgetMakers/hpx" + vw, `{"location":"eastus"}`, 404, "ResourceGroupNotFound"},
		{"unknown resource", "GET", makers + "/nope" + vw, "", 404, "ResourceNotFound"},
		{"patch of unknown resource", "PATCH", makers + "/nope" + vw, `{}`, 404, "ResourceNotFound"},
		{"unknown parent", "PUT", makers + "/nope/parts/one" + vw, `{}`, 404, "ParentResourceNotFound"},
		{"list of unknown parent", "GET", makers + "/nope/parts" + vw, "", 404, "ResourceNotFound"},
		{"delete in unknown group", "DELETE", homeSub + "/resourcegroups/nope/providers/Test.Widgets/widgetMakers/x" + vw, "", 404, "ResourceGroupNotFound"},
		{"wrong method", "POST", makers + "/hp1" + vw, "", 405, "MethodNotAllowed"},
		{"wrong method on an action", "GET", makers + "/hp1/revealSecret" + vw, "", 405, "MethodNotAllowed"},
		{"wrong method on a door", "DELETE", homeSub + "/resources" + v21, "", 405, "MethodNotAllowed"},
		{"name too long", "PUT", makers + "/" + long + vw, `{"location":"eastus"}`, 400, "InvalidResourceName"},
		{"name too short", "PUT", makers + "/x" + vw, `{"location":"eastus"}`, 400, "InvalidResourceName"},
		{"name with odd characters", "PUT", makers + "/a*b$c" + vw, `{"location":"eastus"}`, 400, "InvalidResourceName"},
		{"control character in path", "GET", makers + "/a\x00b" + vw, "", 400, "InvalidRequestUri"},
		{"path not UTF-8", "GET", makers + "/a\xffb" + vw, "", 400, "InvalidRequestUri"},
		{"path too long", "GET", makers + "/" + strings.Repeat("y", 5000) + vw, "", 400, "InvalidRequestUri"},
		{"no body", "PUT", makers + "/hp2" + vw, "", 400, "InvalidRequestContent"},
		{"not JSON", "PUT", makers + "/hp2" + vw, `{"location":`, 400, "InvalidRequestContent"},
		{"not an object", "PUT", makers + "/hp2" + vw, `["location"]`, 400, "InvalidRequestContent"},
		{"two values", "PUT", makers + "/hp2" + vw, `{"location":"eastus"} {}`, 400, "InvalidRequestContent"},
		{"NUL in text", "PUT", makers + "/hp2" + vw, `{"location":"eastus","properties":{"color":"a\u0000b"}}`, 400, "InvalidRequestContent"},
		{"properties no object", "PUT", makers + "/hp2" + vw, `{"location":"eastus","properties":[]}`, 400, "InvalidRequestContent"},
		{"wrong type", "PUT", makers + "/hp2" + vw, `{"location":"eastus","properties":{"size":"big"}}`, 400, "InvalidRequestContent"},
		{"wrong type in a patch", "PATCH", makers + "/hp1" + vw, `{"properties":{"labels":[1]}}`, 400, "InvalidRequestContent"},
		{"no location", "PUT", makers + "/hp2" + vw, `{"properties":{}}`, 400, "LocationRequired"},
		{"location odd", "PUT", makers + "/hp2" + vw, `{"location":"<b>"}`, 400, "LocationNotAvailableForResourceType"},
		{"invalid UTF-8", "PUT", makers + "/hp2" + vw, "{\"location\":\"eastus\",\"tags\":{\"a\":\"\xff\"}}", 400, "InvalidRequestContent"},
		{"location changed", "PUT", makers + "/hp1" + vw, `{"location":"westus"}`, 409, "InvalidResourceLocation"},
		{"location changed by patch", "PATCH", makers + "/hp1" + vw, `{"location":"westus"}`, 409, "InvalidResourceLocation"},
		{"kind odd", "PUT", makers + "/hp1" + vw, `{"location":"eastus","kind":"a b"}`, 400, "InvalidKind"},
		{"identity odd", "PUT", makers + "/hp1" + vw, `{"location":"eastus","identity":{"type":"UserAssigned"}}`, 400, "InvalidIdentityType"},
		{"tag not text", "PUT", makers + "/hp1" + vw, `{"location":"eastus","tags":{"a":1}}`, 400, "InvalidRequestContent"},
		{"tag name too long", "PUT", makers + "/hp1" + vw, `{"location":"eastus","tags":{"` + strings.Repeat("t", 513) + `":""}}`, 400, "InvalidTagName"},
		{"tag value too long", "PUT", makers + "/hp1" + vw, `{"location":"eastus","tags":{"t":"` + strings.Repeat("v", 257) + `"}}`, 400, "InvalidTagValue"},
		{"tags in two cases", "PUT", makers + "/hp1" + vw, `{"location":"eastus","tags":{"a":"","A":""}}`, 400, "InvalidTagName"},
		{"one fault", "PUT", makers + "/hp1" + vw, `{"location":"eastus","properties":{"size":-1}}`, 400, "InvalidParameter"},
		{"two faults", "PUT", makers + "/hp1" + vw, `{"location":"eastus","properties":{"size":-1,"color":"plaid"}}`, 400, "InvalidRequest"},
		{"page size odd", "GET", makers + vw + "&pageSize=many", "", 400, "InvalidQueryParameterValue"},
		{"page size negative", "GET", makers + vw + "&pageSize=-1", "", 400, "InvalidQueryParameterValue"},
		{"skip token odd", "GET", makers + vw + "&$skipToken=***", "", 400, "InvalidSkipToken"},
		{"filter not taken", "GET", makers + vw + "&$filter=a+eq+'b'", "", 400, "InvalidFilter"},
		{"filter odd", "GET", homeSub + "/resources" + v21 + "&$filter=resourceType+eq", "", 400, "InvalidFilterInQueryString"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := *f
			f.t = t
			var body any
			if c.body != "" {
				body = c.body
			}
			f.do(c.method, c.target, body).want(c.status, c.code)
		})
	}
}

func TestNotFoundSpeaksInTheGatewaysWords(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	a := f.do("GET", makers+"/gone"+vw, nil).want(404, "ResourceNotFound")
	a.is("error.message", "The Resource 'Test.Widgets/widgetMakers/gone' under resource group 'rg1' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix")
	if a.header.Get("x-ms-failure-cause") != "gateway" {
		t.Error("x-ms-failure-cause is missing")
	}
}

func TestPatchMergesPropertiesAndReplacesTags(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.do("PUT", makers+"/hp1"+vw, `{"location":"eastus","tags":{"a":"1","b":"2"},"properties":{"color":"red","size":3,"labels":{"x":"1","y":"2"}}}`).want(201)
	f.do("PATCH", makers+"/hp1"+vw, `{"tags":{"c":"3"},"properties":{"Color":null,"labels":{"x":null,"z":"3"}}}`).want(200).
		is("tags.a", nil).is("tags.c", "3").is("properties.color", nil).is("properties.size", 3).
		is("properties.labels", "map[y:2 z:3]")
	f.do("PATCH", makers+"/hp1"+vw, nil).want(200).is("tags.c", "3").is("properties.size", 3)
}

func TestDeleteAnswers200WithTheResourceThen204(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.maker("hp1")
	f.do("PUT", makers+"/hp1/parts/one"+vw, `{}`).want(200).is("name", "hp1/one").is("location", nil)
	f.do("DELETE", makers+"/HP1"+vw, nil).want(200).is("name", "hp1")
	if a := f.do("DELETE", makers+"/hp1"+vw, nil).want(204); a.text != "" {
		t.Errorf("204 with a body: %q", a.text)
	}
	f.maker("hp1")
	f.do("GET", makers+"/hp1/parts/one"+vw, nil).want(404, "ResourceNotFound")
}

func TestHeadAnswers204Or404WithoutBody(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.maker("hp1")
	for target, want := range map[string]int{
		homeSub + "/resourcegroups/rg1" + v21: 204, homeSub + "/resourcegroups/no" + v21: 404,
		makers + "/hp1" + vw: 204, makers + "/no" + vw: 404,
	} {
		if a := f.do("HEAD", target, nil).want(want); a.text != "" {
			t.Errorf("HEAD %s has a body: %q", target, a.text)
		}
	}
}

func TestPreconditionsFollowTheTable(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	put := `{"location":"eastus"}`
	current := f.maker("here").header.Get("ETag")
	stale := `"999"`
	for i, c := range []struct {
		method, name, header, value string
		want                        int
	}{
		{"PUT", "absent", "If-Match", "*", 412},
		{"PUT", "absent", "If-Match", stale, 412},
		{"PUT", "here", "If-Match", stale, 412},
		{"PUT", "here", "If-None-Match", "*", 412},
		{"PATCH", "absent", "If-Match", "*", 404},
		{"PATCH", "here", "If-Match", stale, 412},
		{"DELETE", "absent", "If-Match", stale, 204},
		{"DELETE", "here", "If-Match", stale, 412},
		{"PATCH", "here", "If-Match", current, 200},
		{"PATCH", "here", "If-Match", current, 412}, // it changed
		{"PUT", "here", "If-Match", "*", 200},
		{"PUT", "fresh", "If-None-Match", "*", 201},
		{"DELETE", "here", "If-Match", "*", 200},
	} {
		t.Run(fmt.Sprint(i, c.method, c.header), func(t *testing.T) {
			f := *f
			f.t = t
			var body any = put
			if c.method == "DELETE" {
				body = nil
			}
			a := f.do(c.method, makers+"/"+c.name+vw, body, c.header, c.value)
			if c.want == 412 {
				a.want(412, "PreconditionFailed")
			} else {
				a.want(c.want)
			}
		})
	}
}

func TestListsPageToTheEndInBothDirections(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	for i := range 7 {
		f.maker(fmt.Sprintf("hp%d", i))
	}
	for _, c := range []struct{ query, want string }{
		{"", "hp0 hp1 hp2 hp3 hp4 hp5 hp6"},
		{"&pageSize=2", "hp0 hp1 hp2 hp3 hp4 hp5 hp6"},
		{"&pageSize=7", "hp0 hp1 hp2 hp3 hp4 hp5 hp6"},
		{"&pageSize=3&isDescending=true", "hp6 hp5 hp4 hp3 hp2 hp1 hp0"},
		{"&pageSize=3&initialSkip=2", "hp2 hp3 hp4 hp5 hp6"},
		{"&$top=4", "hp0 hp1 hp2 hp3 hp4 hp5 hp6"},
		{"&initialSkip=9", ""},
	} {
		for _, scope := range []string{makers, homeSub + "/providers/Test.Widgets/widgetMakers"} {
			if got := strings.Join(f.listAll(t, scope+vw+c.query), " "); got != c.want {
				t.Errorf("%s%s lists %q, want %q", scope, c.query, got, c.want)
			}
		}
	}
	a := f.do("GET", makers+vw, nil).want(200)
	if !strings.Contains(a.text, `"nextLink":null`) {
		t.Errorf("the last page's nextLink must be null: %.200s", a.text)
	}
	link := f.do("GET", makers+vw+"&pageSize=2", nil).want(200).get("nextLink").(string)
	if !strings.HasPrefix(link, "https://desk.example:8443"+makers+"?") || !strings.Contains(link, "api-version=2024-04-03") {
		t.Errorf("nextLink is %q", link)
	}
}

// listAll follows nextLink and gives the names.
func (f *service) listAll(t *testing.T, target string) []string {
	t.Helper()
	var names []string
	for range 100 {
		a := f.do("GET", target, nil).want(200)
		for i := range a.get("value").([]any) {
			names = append(names, a.get(fmt.Sprintf("value.%d.name", i)).(string))
		}
		next, _ := a.get("nextLink").(string)
		if next == "" {
			return names
		}
		u, err := url.Parse(next)
		if err != nil {
			t.Fatal(err)
		}
		target = u.Path + "?" + u.RawQuery
	}
	t.Fatal("the list does not end")
	return nil
}

func TestSystemAssignedIdentityKeepsItsPrincipal(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	put := `{"location":"eastus","identity":{"type":"systemassigned","principalId":"forged"}}`
	a := f.do("PUT", makers+"/hp1"+vw, put).want(201).is("identity.type", "SystemAssigned").is("identity.tenantId", homeTenant)
	id := a.get("identity.principalId")
	if id == "forged" || id == nil {
		t.Fatalf("principalId is %v", id)
	}
	f.do("PUT", makers+"/hp1"+vw, put).want(200).is("identity.principalId", id)
	f.do("PATCH", makers+"/hp1"+vw, `{"identity":{"type":"None"}}`).want(200).is("identity.type", "None").is("identity.principalId", nil)
}

func TestACallerWithoutRightsLearnsNothingOfWhatExists(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.maker("hp1")
	f.access.let("stranger", func(string, armID) bool { return false })
	as := []string{"Authorization", "Bearer stranger"}
	for _, target := range []string{makers + "/hp1" + vw, makers + "/nope" + vw, strings.Replace(makers, "rg1", "nope", 1) + "/hp1" + vw,
		makers + vw, strings.Replace(makers, "rg1", "nope", 1) + vw, homeGroup + v21, homeSub + "/resourcegroups/nope" + v21,
		homeGroup + "/resources" + v21, homeSub + "/resourcegroups/nope/resources" + v21, homeSub + "/resourcegroups" + v21} {
		f.do("GET", target, nil, as...).want(403, "AuthorizationFailed")
	}
	for _, target := range []string{makers + "/hp1" + vw, makers + "/nope" + vw} {
		f.do("PUT", target, `not even JSON`, as...).want(403, "AuthorizationFailed")
		f.do("DELETE", target, nil, as...).want(403, "AuthorizationFailed")
	}
	f.do("GET", "/subscriptions"+v21, nil, as...).want(200).is("count.value", 0)
	f.do("GET", makers+"/hp1"+vw, nil, "Authorization", "").want(401, "AuthenticationFailed")
	if h := f.do("GET", makers+"/hp1"+vw, nil, "Authorization", "").header.Get("WWW-Authenticate"); !strings.HasPrefix(h, `Bearer authorization_uri="https://`) {
		t.Errorf("WWW-Authenticate is %q", h)
	}
}

func TestListsShowWhatTheCallerMayRead(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	for _, n := range []string{"hp1", "hp2", "hp3"} {
		f.maker(n)
	}
	f.access.let("partial", func(_ string, scope armID) bool { return strings.EqualFold(scope.Name(), "hp2") })
	for _, target := range []string{makers + vw, homeSub + "/providers/Test.Widgets/widgetMakers" + vw, homeSub + "/resources" + v21} {
		a := f.do("GET", target, nil, "Authorization", "Bearer partial").want(200).is("value.1", nil)
		if name := a.get("value.0.name"); name != "hp2" {
			t.Errorf("%s shows %v", target, name)
		}
	}
}

func TestAPanicIsLoggedWholeAndLeaksNothing(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.maker("hp1")
	a := f.do("POST", makers+"/hp1/explode"+vw, nil).want(http.StatusInternalServerError, "InternalServerError")
	if strings.Contains(a.text, "boom") {
		t.Errorf("the answer leaks: %s", a.text)
	}
	if !strings.Contains(f.log.String(), "boom with a secret inside") {
		t.Error("the panic is not in the log")
	}
}
