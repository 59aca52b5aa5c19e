package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-ntlmssp"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/broker"
	"github.com/deskyard/deskyard/connect"
	"github.com/deskyard/deskyard/ntlm"
	"github.com/deskyard/deskyard/rdp"
)

const (
	appGroup = "/subscriptions/s/resourceGroups/g/providers/Microsoft.DesktopVirtualization/applicationGroups/apps"
	thePool  = "/subscriptions/s/resourceGroups/g/providers/Microsoft.DesktopVirtualization/hostPools/pool"
)

// house is what stands behind the door: one workspace of ann's.
type house struct {
	fail  error // of the next connection
	asked []connect.Ask
}

func (h *house) Resources(_ context.Context, p deskyard.Principal) ([]connect.Workspace, error) {
	if p.Name != "ann@desk.test" {
		return nil, nil
	}
	desktop := connect.Resource{ID: arm.MustParseID(strings.Replace(appGroup, "apps", "desk", 1) + "/desktops/SessionDesktop"), ObjectID: "d1", Kind: connect.KindDesktop,
		Name: "Finance Désktop", Group: arm.MustParseID(strings.Replace(appGroup, "apps", "desk", 1)), Pool: arm.MustParseID(thePool), PoolName: "Pool", Properties: "audiomode:i:2;enablecredsspsupport:i:0;"}
	app := connect.Resource{ID: arm.MustParseID(appGroup + "/applications/Editor"), ObjectID: "a1", Kind: connect.KindRemoteApp, Name: "Editor & more",
		Group: arm.MustParseID(appGroup), Pool: arm.MustParseID(thePool), PoolName: "Pool", Application: connect.Application{Program: "/usr/bin/editor", Arguments: "--new"}}
	ws := arm.MustParseID("/subscriptions/s/resourceGroups/g/providers/Microsoft.DesktopVirtualization/workspaces/ws")
	return []connect.Workspace{{ID: ws, ObjectID: "w1", Name: "Finance", Resources: []connect.Resource{desktop, app}}}, nil
}

func (h *house) Connect(_ context.Context, _ deskyard.Principal, id arm.ResourceID, ask connect.Ask) (connect.Started, error) {
	h.asked = append(h.asked, ask)
	if h.fail != nil {
		return connect.Started{Connection: "c1"}, h.fail
	}
	return connect.Started{Connection: "c1", Ticket: "t1", Host: "sh-1", Expires: time.Unix(1e9, 0).UTC()}, nil
}

func (h *house) Explain(_ context.Context, id string) (deskyard.Connection, error) {
	if id != "c1" {
		return deskyard.Connection{}, arm.Errorf(arm.Missing, "NotFound", "none")
	}
	return deskyard.Connection{ID: "c1", UserID: "id-ann@desk.test", State: deskyard.ConnectionFailed,
		Failure: &deskyard.ConnectionFailure{Symbol: broker.NoHealthyHost, Message: "No host.", Retry: time.Minute}}, nil
}

func (h *house) FileTicket(p deskyard.Principal, id arm.ResourceID) (string, time.Time) {
	return "file." + p.Name, time.Unix(1e9, 0)
}

func principal(name string) deskyard.Principal {
	return deskyard.Principal{ObjectID: "id-" + name, Name: name, Kind: "User"}
}

// Authenticate takes a user's name for a token.
func (h *house) Authenticate(r *http.Request) (deskyard.Principal, error) {
	name, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !ok:
		return deskyard.Principal{}, arm.Errorf(arm.Unauthenticated, "AuthenticationFailed", "Sign in.")
	case name == "robot":
		return deskyard.Principal{ObjectID: name, Name: name, Kind: "Application"}, nil
	}
	return principal(name), nil
}

// NTLM knows ann's app password.
func (h *house) NTLM(_ context.Context, a ntlm.Answer, nonce [8]byte, domain string) (deskyard.Principal, error) {
	if strings.EqualFold(a.User, "ann@desk.test") && a.Proves(ntlm.HashOf("app password"), nonce) {
		return principal("ann@desk.test"), nil
	}
	return deskyard.Principal{}, arm.Errorf(arm.Unauthenticated, "InvalidAuthenticationToken", "Wrong.")
}

func (h *house) Principal(_ context.Context, id string) (deskyard.Principal, error) {
	name, ok := strings.CutPrefix(id, "id-")
	if !ok || name == "gone" {
		return deskyard.Principal{}, arm.Errorf(arm.Missing, "NotFound", "none")
	}
	return principal(name), nil
}

func newDoor(t testing.TB, h *house) *Door {
	t.Helper()
	d, err := New(Options{Connections: h, Accounts: h, PublicURL: "https://desk.test:8443", Gateway: "https://desk.test:8443", Domain: "desk.test",
		Publisher: "Deskyard", Key: bytes.Repeat([]byte{1}, 32), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func send(t testing.TB, d *Door, method, target, token, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "https://desk.test:8443"+target, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	d.Handler().ServeHTTP(w, r)
	return w
}

func TestTheFeedShowsWhatIsAssigned(t *testing.T) {
	d := newDoor(t, &house{})
	var got struct {
		Workspaces []workspace `json:"workspaces"`
	}
	w := send(t, d, "GET", "/connect/v1/feed", "ann@desk.test", "")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s, %v", w.Code, w.Body, err)
	}
	if len(got.Workspaces) != 1 || len(got.Workspaces[0].Resources) != 2 || got.Workspaces[0].Resources[1].RDP != "/connect/v1/resources/a1.rdp" {
		t.Errorf("%+v", got)
	}
	if w := send(t, d, "GET", got.Workspaces[0].Resources[0].Icon, "", ""); w.Code != http.StatusOK {
		t.Errorf("icon: %d", w.Code)
	} else if m, err := png.Decode(w.Body); err != nil || m.Bounds().Dx() != iconSize {
		t.Errorf("icon: %v", err)
	}
	if w := send(t, d, "GET", "/connect/v1/feed", "bob@desk.test", ""); w.Body.String() != `{"user":"bob@desk.test","workspaces":[]}`+"\n" {
		t.Errorf("nothing assigned: %s", w.Body)
	}
	for token, want := range map[string]int{"": 401, "robot": 403} {
		if w := send(t, d, "GET", "/connect/v1/feed", token, ""); w.Code != want {
			t.Errorf("%q: %d", token, w.Code)
		}
	}
}

func TestAConnectionIsBegunOrRefusedWithItsReason(t *testing.T) {
	h := &house{}
	d := newDoor(t, h)
	body := `{"resourceId":"` + appGroup + `/applications/Editor","client":{"os":"Linux","name":"` + strings.Repeat("x", 999) + `"}}`
	w := send(t, d, "POST", "/connect/v1/connections", "ann@desk.test", body)
	want := `{"connectionId":"c1","gateway":"wss://desk.test:8443/gateway/v1/rdp","ticket":"t1","expires":"2001-09-09T01:46:40Z","host":"sh-1"}` + "\n"
	if w.Code != http.StatusCreated || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if c := h.asked[0].Client; c.OS != "Linux" || len(c.Name) != maxClient || c.Address != "192.0.2.1" {
		t.Errorf("client %+v", c)
	}
	for symbol, status := range map[string]int{
		broker.Deallocated: 409, broker.NoHealthyHost: 503, connect.NotAuthorized: 403, connect.ReverseConnect: 409,
	} {
		h.fail = &deskyard.ConnectionFailure{Symbol: symbol, Message: "Why.", Retry: 15 * time.Second}
		w := send(t, d, "POST", "/connect/v1/connections", "ann@desk.test", body)
		if w.Code != status || w.Header().Get("Retry-After") != "15" || w.Body.String() != `{"symbol":"`+symbol+`","message":"Why.","retryAfterSeconds":15,"correlationId":"c1"}`+"\n" {
			t.Errorf("%s: %d %s", symbol, w.Code, w.Body)
		}
	}
	h.fail = errors.New("disk on fire")
	if w := send(t, d, "POST", "/connect/v1/connections", "ann@desk.test", body); w.Code != 500 || strings.Contains(w.Body.String(), "fire") {
		t.Errorf("a fault of ours: %d %s", w.Code, w.Body)
	}
	for _, bad := range []string{"", "[]", `{"resourceId":"x"}`, `{"resourceId":"` + strings.Repeat("x", maxRequest) + `"}`} {
		if w := send(t, d, "POST", "/connect/v1/connections", "ann@desk.test", bad); w.Code != http.StatusBadRequest {
			t.Errorf("%.40q: %d", bad, w.Code)
		}
	}
}

func TestOnlyItsUserSeesAConnection(t *testing.T) {
	d := newDoor(t, &house{})
	if w := send(t, d, "GET", "/connect/v1/connections/c1", "ann@desk.test", ""); w.Code != 200 || !strings.Contains(w.Body.String(), broker.NoHealthyHost) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for token, id := range map[string]string{"bob@desk.test": "c1", "ann@desk.test": "c2"} {
		if w := send(t, d, "GET", "/connect/v1/connections/"+id, token, ""); w.Code != 404 {
			t.Errorf("%s of %s: %d", token, id, w.Code)
		}
	}
}

func TestTheFileOfAWindowsProgramAsksForItsWindows(t *testing.T) {
	h := &house{}
	d := newDoor(t, h)
	offered, err := h.Resources(t.Context(), deskyard.Principal{Name: "ann@desk.test"})
	if err != nil {
		t.Fatal(err)
	}
	app := offered[0].Resources[1]
	app.Application.Program = `C:\Windows\notepad.exe`
	text := string(d.describe(app, offered[0]).Bytes())
	for _, want := range []string{"remoteapplicationmode:i:1\r\n", "remoteapplicationcmdline:s:--new\r\n", "remoteapplicationname:s:Editor & more\r\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the file lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "alternate shell") {
		t.Errorf("the file has a shell:\n%s", text)
	}
}

func TestAConnectionFileCarriesTheTicketAndTheWay(t *testing.T) {
	d := newDoor(t, &house{})
	w := send(t, d, "GET", "/connect/v1/resources/a1.rdp", "ann@desk.test", "")
	text := w.Body.String()
	for _, want := range []string{
		"full address:s:pool-editor\r\n", "gatewayhostname:s:desk.test:8443\r\n", "gatewaycredentialssource:i:5\r\n", "gatewayaccesstoken:s:file.ann@desk.test\r\n",
		"alternate shell:s:/usr/bin/env DESKYARD_APPLICATION=1 /usr/bin/editor --new\r\n", "remoteapplicationprogram:s:||Editor\r\n", "username:s:ann@desk.test\r\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the file lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "remoteapplicationmode") {
		t.Errorf("the file asks a Linux host for a RemoteApp's windows:\n%s", text)
	}
	if got := w.Header().Get("Content-Disposition"); got != `attachment; filename="Editor & more.rdp"` {
		t.Errorf("named %s", got)
	}
	w = send(t, d, "GET", "/connect/v1/resources/d1.rdpw", "ann@desk.test", "")
	if id, ok := ResourceOf("mth://deskyard/desk/d1"); !strings.Contains(w.Body.String(), "loadbalanceinfo:s:mth://deskyard/desk/d1\r\n") || !ok || id != "d1" || strings.Contains(w.Body.String(), "gatewayaccesstoken") {
		t.Errorf("AVD's file:\n%s", w.Body)
	}
	for _, target := range []string{"a2.rdp", "a1.exe", "a1"} {
		if w := send(t, d, "GET", "/connect/v1/resources/"+target, "ann@desk.test", ""); w.Code != 404 {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	if w := send(t, d, "GET", "/connect/v1/resources/a1.rdp", "bob@desk.test", ""); w.Code != 404 {
		t.Errorf("bob got ann's file: %d", w.Code)
	}
}

// subscriber is a client of the workspace feed, by another's NTLM.
func subscriber(t *testing.T, d *Door) (*http.Client, string) {
	t.Helper()
	srv := httptest.NewTLSServer(d.Handler())
	t.Cleanup(srv.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := srv.Client()
	c.Jar, c.Transport = jar, ntlmssp.Negotiator{RoundTripper: c.Transport}
	return c, srv.URL
}

func fetch(t *testing.T, c *http.Client, url, agent, user, password string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", agent)
	r.Header.Set("Accept", "application/x-msts-radc+xml; radc_schema_version=2.1")
	if user != "" {
		r.SetBasicAuth(user, password) // where the other's NTLM takes them from
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestASubscriberSignsInByNTLMAndReadsTheFeed(t *testing.T) {
	c, url := subscriber(t, newDoor(t, &house{}))
	resp, cookie := fetch(t, c, url+"/RDWeb/Feed/webfeed.aspx", "TSWorkspace/2.0", "ann@desk.test", "app password")
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/x-msts-webfeed-login") || cookie == "" {
		t.Fatalf("sign-in: %d %s %s", resp.StatusCode, resp.Header, cookie)
	}
	resp, text := fetch(t, c, url+"/rdweb/feed/WebFeed.aspx", "TSWorkspace/2.0", "", "")
	var got collection
	if err := xml.Unmarshal([]byte(text), &got); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%d %s, %v", resp.StatusCode, text, err)
	}
	if got.Schema != "2.1" || got.Reconnect != "false" || len(got.Publisher) != 1 || len(got.Publisher[0].Resources) != 2 || len(got.Publisher[0].Servers) != 1 {
		t.Errorf("%+v", got)
	}
	if x := got.Publisher[0].Resources[1]; x.Title != "Editor & more" || x.Type != "RemoteApp" || x.Hosting.Server.Ref != got.Publisher[0].Servers[0].ID {
		t.Errorf("%+v", x)
	}
	resp, file := fetch(t, c, url+got.Publisher[0].Resources[1].Hosting.File.URL, "TSWorkspace/2.0", "", "")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/x-rdp" || !strings.Contains(file, "gatewayaccesstoken:s:file.ann") {
		t.Errorf("file: %d %s", resp.StatusCode, file)
	}
	if resp, icon := fetch(t, c, url+got.Publisher[0].Resources[1].Raw.URL, "x", "", ""); resp.StatusCode != 200 || !strings.HasPrefix(icon, "\x00\x00\x01\x00") {
		t.Errorf("icon: %d", resp.StatusCode)
	}
}

func TestASubscriberWithAWrongPasswordReadsNothing(t *testing.T) {
	c, url := subscriber(t, newDoor(t, &house{}))
	for _, agent := range []string{"TSWorkspace/2.0", "com.microsoft.rdc.macos/2 RdCore/1"} {
		if resp, text := fetch(t, c, url+"/RDWeb/Feed/webfeed.aspx", agent, "ann@desk.test", "wrong"); resp.StatusCode != 401 || strings.Contains(text, "Finance") {
			t.Errorf("%s: %d %s", agent, resp.StatusCode, text)
		}
	}
	if resp, text := fetch(t, c, url+"/RDWeb/Feed/webfeed.aspx", "com.microsoft.rdc.ios RdCore/1", "ann@desk.test", "app password"); resp.StatusCode != 200 || !strings.Contains(text, "Finance") {
		t.Errorf("a client that probes: %d %s", resp.StatusCode, text)
	}
}

func TestCookiesOfTheFeedCannotBeForgedOrKept(t *testing.T) {
	d := newDoor(t, &house{})
	at := time.Now()
	d.now = func() time.Time { return at }
	read := func(value string) error {
		r := httptest.NewRequest("GET", "https://desk.test/RDWeb/Feed/webfeed.aspx", nil)
		r.AddCookie(&http.Cookie{Name: feedCookie, Value: value})
		_, err := d.byCookie(r)
		return err
	}
	good := d.cookieFor(principal("ann@desk.test"))
	if err := read(good); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"empty": "", "cut": good[:len(good)-1], "another's": strings.Replace(good, "id-ann", "id-bob", 1), "without a MAC": strings.Repeat(".", 3), "of one who is gone": d.cookieFor(principal("gone")),
	} {
		if err := read(value); !errors.Is(err, errNoCookie) {
			t.Errorf("%s: %v", name, err)
		}
	}
	at = at.Add(cookieLife)
	if err := read(good); !errors.Is(err, errNoCookie) {
		t.Errorf("after %s: %v", cookieLife, err)
	}
}

func TestAChallengeIsForOneConnectionOnceAndSoon(t *testing.T) {
	c := challenges{made: map[string]challenge{}}
	now := time.Now()
	c.make("192.0.2.1:1", now)
	if _, ok := c.take("192.0.2.1:2", now); ok {
		t.Error("another connection took it")
	}
	if _, ok := c.take("192.0.2.1:1", now); !ok {
		t.Error("its own did not get it")
	}
	if _, ok := c.take("192.0.2.1:1", now); ok {
		t.Error("it was given twice")
	}
	c.make("192.0.2.1:1", now)
	if _, ok := c.take("192.0.2.1:1", now.Add(challengeLife+1)); ok {
		t.Error("it was kept for too long")
	}
}

// FuzzCookie: no value is a cookie but those that were made.
func FuzzCookie(f *testing.F) {
	d := newDoor(f, &house{})
	d.now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	good := d.cookieFor(principal("ann@desk.test"))
	f.Add(good)
	f.Add("..")
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest("GET", "https://desk.test/", nil)
		r.Header.Set("Cookie", feedCookie+"="+value)
		if p, err := d.byCookie(r); err == nil && p.Name != "ann@desk.test" {
			t.Errorf("%q is %s's", value, p.Name)
		}
	})
}

func TestAClientOfAVDsOwnRequestIsToldWhereToGo(t *testing.T) {
	h := &house{}
	d := newDoor(t, h)
	d.o.Promise = func(ticket string) (rdp.Redirection, error) {
		return rdp.Redirection{Path: "/gateway/v1/avd?id=" + ticket, ID: "{guid}", AuthBlob: "blob", Certificate: "cert"}, nil
	}
	ask := func(token, info string) *httptest.ResponseRecorder {
		return send(t, d, "POST", avdPath, token, `{"application":"||SessionDesktop","loadBalanceInfo":"`+info+`","LogonToken":null}`)
	}
	w := ask("ann@desk.test", "mth://deskyard/desk/d1")
	want := `{"gatewayLocation":"wss://desk.test:8443/gateway/v1/avd?id=t1","redirectedServerName":"sh-1","redirectedUsername":"ann@desk.test","redirectedServerCert":"cert","redirectedAuthGuid":"{guid}","redirectedAuthBlob":"blob"}` + "\n"
	if w.Code != http.StatusOK || w.Body.String() != want || h.asked[0].Door != deskyard.DoorAVD {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	h.fail = &deskyard.ConnectionFailure{Symbol: broker.Deallocated, Message: "Starting.", Retry: time.Second}
	if w := ask("ann@desk.test", "mth://deskyard/desk/d1"); w.Code != http.StatusBadRequest || w.Body.String() != `{"Code":"`+broker.Deallocated+`","Message":"Starting."}`+"\n" {
		t.Errorf("while a machine starts: %d %s", w.Code, w.Body)
	}
	h.fail = nil
	for _, c := range []struct {
		token, info string
		status      int
	}{{"", "mth://deskyard/desk/d1", 401}, {"bob@desk.test", "mth://deskyard/desk/d1", 400}, {"ann@desk.test", "mth://other/desk/d1", 400}, {"ann@desk.test", "mth://deskyard/desk/d2", 400}} {
		if w := ask(c.token, c.info); w.Code != c.status || len(h.asked) != 2 {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
	}
}
