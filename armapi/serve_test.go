package armapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deskyard/deskyard/arm"
)

func TestEveryAnswerCarriesAzuresHeaders(t *testing.T) {
	f := newService(t)
	const mine, correlation = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "12345678-bbbb-cccc-dddd-eeeeeeeeeeee"
	for _, target := range []string{"/subscriptions" + v21, "/nothing", makers + "/x" + vw} {
		a := f.do("GET", target, nil, "x-ms-client-request-id", mine, "x-ms-correlation-request-id", correlation, "x-ms-return-client-request-id", "true")
		for name, want := range map[string]string{
			"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-cache", "Pragma": "no-cache", "Expires": "-1",
			"Strict-Transport-Security": "max-age=31536000; includeSubDomains", "X-Content-Type-Options": "nosniff",
			"X-Ms-Request-Id": mine, "X-Ms-Client-Request-Id": mine, "X-Ms-Correlation-Request-Id": correlation,
			"X-Ms-Routing-Request-Id": "DESKYARD:20260301T120000Z:" + correlation,
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", target, name, got, want)
			}
		}
	}
	a := f.do("GET", homeSub+"/resourcegroups"+v21, nil, "x-ms-client-request-id", "evil\r\nid")
	if id := a.header.Get("x-ms-request-id"); len(id) != 36 || a.header.Get("x-ms-client-request-id") != "" {
		t.Errorf("x-ms-request-id is %q, x-ms-client-request-id %q", id, a.header.Get("x-ms-client-request-id"))
	}
	if left := a.header.Get("x-ms-ratelimit-remaining-subscription-reads"); len(left) != 4 || left[:2] != "99" {
		t.Errorf("reads left: %q", left)
	}
}

func TestABodyBeyondTheBoundIsRefusedAndNotKept(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	srv := httptest.NewTLSServer(f.server.Handler())
	defer srv.Close()
	for _, known := range []bool{true, false} {
		counted := &countingReader{left: 100 << 20}
		req, err := http.NewRequestWithContext(t.Context(), "PUT", srv.URL+makers+"/hp1"+vw, counted)
		if err != nil {
			t.Fatal(err)
		}
		if known {
			req.ContentLength = 100 << 20
		}
		req.Header.Set("Authorization", "Bearer admin")
		req.Header.Set("Content-Type", "application/json")
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ Error arm.Error }
		if err := json.Unmarshal(body, &got); err != nil || resp.StatusCode != 413 || got.Error.Code != "RequestContentTooLarge" {
			t.Errorf("length known %v: %d %s", known, resp.StatusCode, body)
		}
	}
}

// countingReader is spaces without end, almost.
type countingReader struct{ left int }

func (r *countingReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), r.left)
	copy(p, bytes.Repeat([]byte(" "), n))
	r.left -= n
	return n, nil
}

func TestOnlyJSONIsRead(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	body := `{"location":"eastus"}`
	for _, good := range []string{"application/json", "application/json; charset=UTF-8", "text/json", "application/merge-patch+json", ""} {
		if a := f.do("PUT", makers+"/hp1"+vw, body, "Content-Type", good); a.status >= 300 {
			t.Errorf("%q: %d", good, a.status)
		}
	}
	for _, bad := range []string{"text/plain", "application/xml", "application/json; charset=utf-16", ";;;"} {
		f.do("PUT", makers+"/hp1"+vw, body, "Content-Type", bad).want(415, "UnsupportedMediaType")
	}
	f.do("PUT", makers+"/hp1"+vw, "\xef\xbb\xbf"+body).want(200)
}

func TestWritesAndKeyRetrievalsAreAuditedWithTheirRefusals(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.maker("hp1")
	f.access.let("reader", func(action string, _ armID) bool { return strings.HasSuffix(action, "/read") })
	reader := []string{"Authorization", "Bearer reader"}
	f.do("POST", makers+"/hp1/revealSecret"+vw, nil, reader...).want(403, "AuthorizationFailed")
	f.do("POST", makers+"/hp1/revealSecret"+vw, nil).want(200)
	f.do("PUT", makers+"/hp1"+vw, `{"location":"eastus","properties":{"size":-1}}`).want(400)
	f.do("GET", makers+"/hp1"+vw, nil, reader...).want(200)
	f.do("DELETE", makers+"/hp1"+vw, nil).want(200)
	f.do("DELETE", makers+"/hp1"+vw, nil).want(204)
	f.do("PUT", makers+"/hp1"+vw, `{}`, "Authorization", "").want(401)
	var got []string
	for _, e := range f.events() {
		got = append(got, strings.Join([]string{e.Caller, e.Action[strings.LastIndexByte(e.Action, '.')+1:], http.StatusText(e.Status), e.Code}, "|"))
		if e.Address != "192.0.2.1" || e.Correlation == "" || e.ID == "" || !strings.HasPrefix(e.Scope, homeSub) {
			t.Errorf("event %+v", e)
		}
	}
	want := []string{
		"admin|Resources/subscriptions/resourceGroups/write|Created|",
		"admin|Widgets/widgetmakers/write|Created|",
		"reader|Widgets/widgetmakers/revealSecret/action|Forbidden|AuthorizationFailed",
		"admin|Widgets/widgetmakers/revealSecret/action|OK|",
		"admin|Widgets/widgetmakers/write|Bad Request|InvalidParameter",
		"admin|Widgets/widgetmakers/delete|OK|",
		"admin|Widgets/widgetmakers/delete|No Content|",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("audited:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheActivityLogShowsWhatWasAudited(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.group("rg2")
	f.maker("hp1")
	log := homeSub + "/providers/Microsoft.Insights/eventtypes/management/values?api-version=2015-04-01"
	f.do("GET", log, nil).want(200).is("value.0.operationName.value", "Test.Widgets/widgetmakers/write").is("value.0.caller", "admin").
		is("value.0.status.value", "Succeeded").is("value.0.resourceGroupName", "rg1").is("value.3", nil)
	for filter, want := range map[string]int{
		"eventTimestamp ge '2026-03-01T00:00:00Z' and eventTimestamp le '2026-03-02T00:00:00Z'": 3,
		"eventTimestamp ge '2026-03-01T14:00:00.1234560+02:00'":                                 3,
		"eventTimestamp ge '2026-03-02T00:00:00Z'":                                              0,
		"eventTimestamp ge '2026-03-01' and resourceGroupName eq 'RG1'":                         2,
		"resourceUri eq '" + makers + "/hp1'":                                                   1,
		"eventTimestamp ge '2026-03-01' and caller eq 'admin'":                                  3,
		"caller eq 'nobody'": 0,
		"status eq 'Failed'": 0,
		"operationName eq 'test.widgets/WIDGETMAKERS/write'": 1,
	} {
		a := f.do("GET", log+"&$filter="+url.QueryEscape(filter), nil).want(200)
		if got := len(a.get("value").([]any)); got != want {
			t.Errorf("%s: %d events, want %d", filter, got, want)
		}
	}
	f.do("GET", log+"&$top=1", nil).want(200).is("value.1", nil)
	if n := len(strings.Split(strings.Join(f.pages(t, log+"&$top=1"), ""), "|")) - 1; n != 3 {
		t.Errorf("paging gives %d events, want 3", n)
	}
	f.do("GET", log+"&$filter=eventTimestamp+ge+'when'", nil).want(400, "InvalidQueryParameterValue")
	f.access.let("stranger", func(string, armID) bool { return false })
	f.do("GET", log, nil, "Authorization", "Bearer stranger").want(403, "AuthorizationFailed")
}

// pages follows nextLink and gives each page's event ids, ended by |.
func (f *service) pages(t *testing.T, target string) []string {
	t.Helper()
	var all []string
	for target != "" {
		a := f.do("GET", target, nil).want(200)
		for range a.get("value").([]any) {
			all = append(all, "event|")
		}
		next, _ := a.get("nextLink").(string)
		target = strings.TrimPrefix(next, "https://desk.example:8443")
	}
	return all
}

func TestACallerBeyondItsRateIsToldWhenToComeBack(t *testing.T) {
	f := newService(t, func(o *Options) { o.Throttle = Throttle{PerSecond: 1, Burst: 2} })
	f.do("GET", "/tenants"+v21, nil).want(200)
	f.do("GET", "/tenants"+v21, nil).want(200)
	a := f.do("GET", "/tenants"+v21, nil).want(429, "SubscriptionRequestsThrottled")
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
	f.do("GET", "/tenants"+v21, nil, "Authorization", "Bearer other").want(200)
	f.now = f.now.Add(1e9)
	f.do("GET", "/tenants"+v21, nil).want(200)
}

func TestForwardedHeadersCountOnlyFromATrustedProxy(t *testing.T) {
	for _, c := range []struct {
		trusted []netip.Prefix
		want    string
	}{
		{nil, "https://desk.example:8443/"},
		{[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, "https://public.example/"},
	} {
		f := newService(t, func(o *Options) { o.TrustedProxies = c.trusted })
		f.do("GET", "/metadata/endpoints?api-version=2022-09-01", nil, "X-Forwarded-Host", "public.example", "X-Forwarded-Proto", "https").
			want(200).is("resourceManager", c.want)
	}
}

func TestRequestsAreCountedByTypeVerbAndStatus(t *testing.T) {
	reg := prometheus.NewRegistry()
	f := newService(t, func(o *Options) { o.Registry = reg })
	f.group("rg1")
	f.do("WEIRD", homeGroup+v21, nil).want(405)
	f.do("GET", homeGroup+v21, nil).want(200)
	families, err := reg.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("%d metrics, %v", len(families), err)
	}
	var got []string
	for _, m := range families[0].Metric {
		series := ""
		for _, l := range m.Label {
			series += l.GetName() + "=" + l.GetValue() + " "
		}
		got = append(got, series)
	}
	want := []string{
		"status=200 type=Microsoft.Resources/resourceGroups verb=GET ",
		"status=201 type=Microsoft.Resources/resourceGroups verb=PUT ",
		"status=405 type=Microsoft.Resources/resourceGroups verb=other ",
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("series %q, want %q", got, want)
	}
}

func TestNothingSucceedsThatCannotBeAudited(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.maker("hp1")
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	for target, method := range map[string]string{
		makers + "/hp1/revealSecret" + vw:                  "POST", // writes nothing but its audit event
		homeSub + "/providers/Test.Widgets/register" + v21: "POST",
		makers + "/hp2" + vw:                               "PUT",
	} {
		if a := f.do(method, target, `{"location":"eastus"}`); a.status < 500 || strings.Contains(a.text, "secret") {
			t.Errorf("%s %s without a store answers %d %s", method, target, a.status, a.text)
		}
	}
	if !strings.Contains(f.log.String(), "audit event not written") {
		t.Error("the lost audit event is not in the log")
	}
}
