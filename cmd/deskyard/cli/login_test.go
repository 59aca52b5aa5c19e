package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// personLogsIn follows `deskyard login` as a person does: the command shows a code,
// the person enters it, name and password in a browser, the command goes on.
func personLogsIn(t *testing.T, bootstrap string) {
	text, err := os.ReadFile(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	var b struct{ Endpoint, CAFile, SubscriptionID, AdminUser, AdminPassword string }
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DESKYARD_CONFIG_DIR", t.TempDir())
	t.Setenv("DESKYARD_BOOTSTRAP", "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	told, tell := io.Pipe()
	ended := make(chan error, 1)
	var shown bytes.Buffer
	go func() {
		ended <- runCommand(ctx, &shown, tell, "login", "--endpoint", b.Endpoint, "--ca-file", b.CAFile, "-o", "json")
		_ = tell.Close() // a pipe's writer closes without an error
	}()
	code := awaitCode(t, told)
	web := newBrowser(t, b.CAFile)
	web.open(b.Endpoint + "/devicelogin")
	web.submit(url.Values{"user_code": {code}})
	web.submit(url.Values{"username": {b.AdminUser}, "password": {b.AdminPassword}, "action": {"password"}})
	if err := <-ended; err != nil {
		t.Fatalf("login: %v; the browser shows %s", err, web.page)
	}
	if !strings.Contains(shown.String(), b.SubscriptionID) {
		t.Errorf("the subscription is not shown: %s", &shown)
	}
	path := filepath.Join(os.Getenv("DESKYARD_CONFIG_DIR"), "profile.json")
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(kept), b.AdminPassword) {
		t.Error("the password was kept")
	}

	// The login holds when its access token has expired.
	p, err := readProfile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := p.RefreshToken
	p.Tokens = nil
	if err := p.save(); err != nil {
		t.Fatal(err)
	}
	shown.Reset()
	if err := runCommand(ctx, &shown, io.Discard, "account", "show", "-o", "tsv", "--query", "user.name"); err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(shown.String()) != b.AdminUser {
		t.Errorf("logged in as %q, want %q", &shown, b.AdminUser)
	}
	if p, err = readProfile(path); err != nil || p.RefreshToken == before || len(p.Tokens) != 1 {
		t.Errorf("the renewed tokens were not kept: %v", err)
	}
}

// runCommand runs a command line in this process.
func runCommand(ctx context.Context, stdout, stderr io.Writer, args ...string) error {
	parser, err := kong.New(&program{}, kong.Name("deskyard"), kong.Writers(stdout, stderr), kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		return err
	}
	line, err := parser.Parse(args)
	if err != nil {
		return err
	}
	return line.Run()
}

// awaitCode reads what the command tells until it names the code, and lets the rest pass.
func awaitCode(t *testing.T, told io.Reader) string {
	t.Helper()
	pattern := regexp.MustCompile(`\b[A-Z0-9]{4}-?[A-Z0-9]{4,5}\b`)
	lines := bufio.NewScanner(told)
	for lines.Scan() {
		if code := pattern.FindString(lines.Text()); code != "" {
			go func() {
				_, _ = io.Copy(io.Discard, told) // ends with the command
			}()
			return code
		}
	}
	t.Fatal("the command ended without showing a code")
	return ""
}

// browser is as much of one as forms need.
type browser struct {
	t    *testing.T
	http *http.Client
	at   *url.URL
	page string
}

func newBrowser(t *testing.T, ca string) *browser {
	t.Helper()
	web, err := newHTTP(&profile{CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	if web.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(web.CloseIdleConnections)
	return &browser{t: t, http: web}
}

func (b *browser) open(address string) {
	b.t.Helper()
	resp, err := b.http.Get(address)
	b.read(resp, err)
}

func (b *browser) read(resp *http.Response, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.at, b.page = resp.Request.URL, string(text)
}

var (
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// submit sends the page's form with its hidden fields and those given.
func (b *browser) submit(fields url.Values) {
	b.t.Helper()
	action := formAction.FindStringSubmatch(b.page)
	if action == nil {
		b.t.Fatalf("%s shows no form: %s", b.at, b.page)
	}
	to, err := b.at.Parse(html.UnescapeString(action[1]))
	if err != nil {
		b.t.Fatal(err)
	}
	form := url.Values{}
	for _, m := range hiddenInput.FindAllStringSubmatch(b.page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	for k, v := range fields {
		form[k] = v
	}
	req, err := http.NewRequest(http.MethodPost, to.String(), strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", fmt.Sprintf("%s://%s", to.Scheme, to.Host))
	resp, err := b.http.Do(req)
	b.read(resp, err)
}
