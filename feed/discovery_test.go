package feed

import (
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

const theTenant = "11111111-2222-4333-8444-555555555555"

// asks is one request of a client that looks for workspaces as AVD's do.
func asks(t *testing.T, d *Door, at, token, accept, agent string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", at, nil)
	r.Header.Set("Accept", accept)
	r.Header.Set("User-Agent", agent)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if !Owns(r.URL.Path) {
		t.Fatalf("%s is not the door's", at)
	}
	w := httptest.NewRecorder()
	d.Handler().ServeHTTP(w, r)
	return w
}

// TestAClientFindsItsDesktopsFromAVDsOwnAddress does what clients of AVD's feed do, with
// the headers that they send: discovery, the feed, a connection file, an icon.
func TestAClientFindsItsDesktopsFromAVDsOwnAddress(t *testing.T) {
	d := newDoor(t, &house{})
	d.o.TenantID = theTenant
	w := asks(t, d, "https://desk.test:8443/api/arm/feeddiscovery", "ann@desk.test", "application/x-msts-radc-discovery+xml,text/xml", "")
	var found feeds
	if err := xml.Unmarshal(w.Body.Bytes(), &found); err != nil || w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/x-msts-radc-discovery+xml") {
		t.Fatalf("%d %v %s, %v", w.Code, w.Header(), w.Body, err)
	}
	if len(found.Tenants) != 1 || found.Tenants[0].ID != theTenant || found.Tenants[0].Name != "Deskyard" || !strings.Contains(w.Body.String(), `<TenantFeedURLs xmlns="http://schemas.microsoft.com/ts/2014/03/tswfdiscovery">`) {
		t.Fatalf("%s", w.Body)
	}
	w = asks(t, d, found.Tenants[0].URL, "ann@desk.test", "application/x-msts-radc+xml;radc_schema_version=2.0,text/xml", "")
	var got collection
	if err := xml.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.Schema != "2.0" || len(got.Publisher) != 1 || len(got.Publisher[0].Resources) != 2 {
		t.Fatalf("%d %s, %v", w.Code, w.Body, err)
	}
	desktop := got.Publisher[0].Resources[0]
	if u, err := url.Parse(desktop.Hosting.File.URL); err != nil || u.Host != "desk.test:8443" || u.Path != discoveryPath+"/tenants/w1/rdps/d1.rdp" {
		t.Fatalf("the file is at %s", desktop.Hosting.File.URL)
	}
	w = asks(t, d, desktop.Hosting.File.URL, "ann@desk.test", "*/*", "")
	file := strings.ReplaceAll(w.Body.String(), "\x00", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-rdp" || strings.Contains(file, "gatewayaccesstoken") {
		t.Fatalf("%d %s", w.Code, file)
	}
	for _, want := range []string{"resourceprovider:s:arm\r\n", "gatewayhostname:s:desk.test:8443\r\n", "loadbalanceinfo:s:mth://deskyard/desk/d1\r\n", "workspace id:s:w1\r\n", "full address:s:", "remoteapplicationprogram:s:||SessionDesktop\r\n"} {
		if !strings.Contains(file, want) {
			t.Errorf("the file has no %q:\n%s", want, file)
		}
	}
	if w := asks(t, d, desktop.Drawn.URL, "", "", ""); w.Code != 200 || !strings.HasPrefix(w.Body.String(), "\x89PNG") {
		t.Errorf("the icon: %d", w.Code)
	}
}

func TestDiscoveryIsForUsersAndShowsOthersTheWay(t *testing.T) {
	d := newDoor(t, &house{})
	d.o.TenantID = theTenant
	base := "https://desk.test:8443" + discoveryPath
	for _, c := range []struct {
		at, token, agent string
		status           int
	}{
		{base, "", "curl", http.StatusUnauthorized},
		{base + "/tenants/" + theTenant + "/webfeed", "", "curl", http.StatusUnauthorized},
		{base + "/tenants/w1/rdps/d1.rdp", "", "curl", http.StatusUnauthorized},
		{base, "", "TSWorkspace/2.0", http.StatusFound},
		{base, "", "com.microsoft.rdc.macos/2 RdCore/1", http.StatusFound},
		{base + "/tenants/99999999-2222-4333-8444-555555555555/webfeed", "ann@desk.test", "", http.StatusNotFound},
		{base + "/tenants/w2/rdps/d1.rdp", "ann@desk.test", "", http.StatusNotFound},
		{base + "/tenants/w1/rdps/d1.exe", "ann@desk.test", "", http.StatusNotFound},
		{base + "/tenants/w1/rdps/d1.rdp", "bob@desk.test", "", http.StatusNotFound},
		{base + "/webfeed.aspx", "ann@desk.test", "", http.StatusOK},
		{base + "/other", "ann@desk.test", "", http.StatusNotFound},
	} {
		w := asks(t, d, c.at, c.token, "text/xml", c.agent)
		if w.Code != c.status {
			t.Errorf("%s by %q %s: %d %s", c.at, c.token, c.agent, w.Code, w.Body)
		}
		if c.status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s asks for %q", c.at, w.Header().Get("WWW-Authenticate"))
		}
		if c.status == http.StatusFound && w.Header().Get("Location") != "/RDWeb/Feed/webfeed.aspx" {
			t.Errorf("%s leads to %s", c.at, w.Header().Get("Location"))
		}
	}
	if w := asks(t, d, base+"/tenants/"+theTenant+"/webfeed", "bob@desk.test", "text/xml", ""); w.Code != 200 || strings.Contains(w.Body.String(), "Finance") {
		t.Errorf("bob, who has nothing, is shown %d %s", w.Code, w.Body)
	}
}
