//go:build e2e

package federation

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/service"
)

// What the clients that ask for tokens are: Azure's CLI.
const (
	client   = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
	redirect = "http://localhost:8400/"
	verifier = "a-verifier-of-forty-three-characters-or-more-1"
)

// browser keeps cookies and follows no redirect by itself.
type browser struct {
	t    *testing.T
	http *http.Client
}

func newBrowser(t *testing.T, installations ...*service.Service) *browser {
	t.Helper()
	roots := x509.NewCertPool()
	for _, s := range installations {
		text, err := os.ReadFile(s.CAFile)
		must(t, err)
		roots.AppendCertsFromPEM(text)
	}
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &browser{t, &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// page is what a request was answered with; to is where it leads, "" nowhere.
type page struct {
	status   int
	text, to string
}

func (b *browser) do(method, at string, form url.Values) page {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, at, strings.NewReader(form.Encode()))
	must(b.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
	}
	res, err := b.http.Do(req)
	must(b.t, err)
	defer res.Body.Close() // only read
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	must(b.t, err)
	p := page{status: res.StatusCode, text: string(text)}
	if to, err := res.Location(); err == nil {
		p.to = to.String()
	}
	return p
}

var (
	button = regexp.MustCompile(`class="button" href="([^"]+)"`)
	hidden = regexp.MustCompile(`<input type="hidden" name="([a-z]+)" value="([^"]*)">`)
)

// fill signs in on the page at a sign-in address.
func (b *browser) fill(at, name, password string) page {
	b.t.Helper()
	form := url.Values{"action": {"password"}, "username": {name}, "password": {password}}
	for _, field := range hidden.FindAllStringSubmatch(b.do(http.MethodGet, at, nil).text, -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	u, err := url.Parse(at)
	must(b.t, err)
	return b.do(http.MethodPost, u.Scheme+"://"+u.Host+"/signin", form)
}

// away begins to sign in at an installation and leaves for its provider; it answers the
// provider's page after the name and the password were given there.
func (b *browser) away(s *service.Service, name, password string) page {
	b.t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{"client_id": {client}, "response_type": {"code"}, "redirect_uri": {redirect}, "state": {"s"}, "scope": {scope(s)},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	ask := b.do(http.MethodGet, s.Endpoint+"/adfs/oauth2/authorize?"+q.Encode(), nil)
	link := button.FindStringSubmatch(b.do(http.MethodGet, ask.to, nil).text)
	if link == nil {
		b.t.Fatalf("the sign-in page has no way to the provider: %+v", ask)
	}
	out := b.do(http.MethodGet, s.Endpoint+html.UnescapeString(link[1]), nil)
	there := b.do(http.MethodGet, out.to, nil)
	if there.to == "" {
		b.t.Fatalf("the provider has no sign-in page at %s: %+v", out.to, there)
	}
	return b.fill(there.to, name, password)
}

// tokens are what an installation answers a request for tokens with.
type tokens struct {
	status  int
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Error   string `json:"error"`
	Text    string `json:"error_description"`
}

func scope(s *service.Service) string { return s.Endpoint + "//.default offline_access openid profile" }

func (b *browser) tokens(s *service.Service, form url.Values) tokens {
	b.t.Helper()
	form.Set("client_id", client)
	form.Set("scope", scope(s))
	p := b.do(http.MethodPost, s.Endpoint+"/adfs/oauth2/token", form)
	t := tokens{status: p.status}
	if err := json.Unmarshal([]byte(p.text), &t); err != nil {
		b.t.Fatalf("read tokens: %v: %d %s", err, p.status, p.text)
	}
	return t
}

// password is how programs sign in with a name and a password.
func (b *browser) password(s *service.Service, name, password string) tokens {
	b.t.Helper()
	return b.tokens(s, url.Values{"grant_type": {"password"}, "username": {name}, "password": {password}})
}

func (b *browser) refresh(s *service.Service, refresh string) tokens {
	b.t.Helper()
	return b.tokens(s, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
}

// home comes back from the provider and gets tokens.
func (b *browser) home(s *service.Service, p page) tokens {
	b.t.Helper()
	if !strings.HasPrefix(p.to, s.Endpoint+"/signin/back?") {
		b.t.Fatalf("the provider sends to %q: %d %.300s", p.to, p.status, p.text)
	}
	back := b.do(http.MethodGet, p.to, nil)
	u, err := url.Parse(back.to)
	if err != nil || u.Query().Get("code") == "" {
		b.t.Fatalf("no code: %+v", back)
	}
	return b.tokens(s, url.Values{"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {redirect}, "code_verifier": {verifier}})
}

// desktops are the names of what a token's owner may open.
func (b *browser) desktops(s *service.Service, token string) []string {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, s.Endpoint+"/connect/v1/feed", nil)
	must(b.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := b.http.Do(req)
	must(b.t, err)
	defer res.Body.Close() // only read
	var feed struct {
		Workspaces []struct{ Resources []service.Resource }
	}
	must(b.t, json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&feed))
	if res.StatusCode != http.StatusOK {
		b.t.Fatal(fmt.Errorf("read the feed: %s", res.Status))
	}
	var names []string
	for _, w := range feed.Workspaces {
		for _, r := range w.Resources {
			names = append(names, r.Name)
		}
	}
	return names
}
