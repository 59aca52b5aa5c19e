package components_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/bootloader"
	"github.com/deskyard/deskyard/components"
	"github.com/deskyard/deskyard/sqlstore"
)

func newCatalogue(t *testing.T) (c *components.Catalogue, server *httptest.Server, dir string) {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "store.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	c, err = components.Open(components.Options{Store: db, Dir: dir, Key: key, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server = httptest.NewTLSServer(c.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, server, dir
}

// archive makes a component archive file.
func archive(t *testing.T, component, version, arch, content string) string {
	t.Helper()
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	if err := os.WriteFile(run, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, component+"_"+version+"_linux_"+arch+".tar.gz")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := bootloader.Manifest{Component: component, Version: version, OS: "linux", Arch: arch, Entry: "run"}
	if _, err := bootloader.Pack(f, m, map[string]string{"run": run}); err != nil {
		t.Fatal(err)
	}
	return file
}

// deb makes a file that passes for a Debian package.
func deb(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte("!<arch>\n"+content), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func publish(t *testing.T, c *components.Catalogue, file string, ring components.Ring) components.Package {
	t.Helper()
	p, err := c.Publish(t.Context(), file, ring)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// versions is what a ring's hosts should run, as one text.
func versions(t *testing.T, c *components.Catalogue, arch string, validation bool) string {
	t.Helper()
	all, err := c.Desired(t.Context(), "linux", arch, validation)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range all {
		if err := d.Validate(); err != nil {
			t.Error(err)
		}
		out = append(out, d.Component+" "+d.Version)
	}
	return strings.Join(out, ", ")
}

func TestValidationPoolsGetAVersionBeforeTheOthers(t *testing.T) {
	c, _, _ := newCatalogue(t)
	publish(t, c, archive(t, "agent", "1.9.0", "amd64", "a"), components.Production)
	publish(t, c, archive(t, "sxs-stack", "1.0.0", "amd64", "s"), components.Production)
	publish(t, c, archive(t, "agent", "1.10.0", "amd64", "b"), components.Validation)
	steps := []struct {
		what, production, validation string
		do                           func() error
	}{
		{"published", "agent 1.9.0, sxs-stack 1.0.0", "agent 1.10.0, sxs-stack 1.0.0", func() error { return nil }},
		{"promoted", "agent 1.10.0, sxs-stack 1.0.0", "agent 1.10.0, sxs-stack 1.0.0", func() error { return c.Promote(t.Context(), "agent", "1.10.0") }},
		{"withdrawn", "agent 1.9.0, sxs-stack 1.0.0", "agent 1.9.0, sxs-stack 1.0.0", func() error { return c.Withdraw(t.Context(), "", "1.10.0") }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatal(err)
		}
		if got := versions(t, c, "amd64", false); got != s.production {
			t.Errorf("%s: production gets %q, not %q", s.what, got, s.production)
		}
		if got := versions(t, c, "amd64", true); got != s.validation {
			t.Errorf("%s: validation gets %q, not %q", s.what, got, s.validation)
		}
	}
	if got := versions(t, c, "arm64", true); got != "" {
		t.Errorf("arm64 gets %q", got)
	}
	if err := c.Promote(t.Context(), "agent", "3.0.0"); err == nil {
		t.Error("a version that does not exist was promoted")
	}
}

func TestPublishTakesAFileOnceAndRefusesAnotherUnderTheSameVersion(t *testing.T) {
	c, _, _ := newCatalogue(t)
	file := archive(t, "agent", "1.0.0", "amd64", "a")
	publish(t, c, file, components.Validation)
	publish(t, c, file, components.Production)
	publish(t, c, file, components.Validation) // does not take it back from production
	if got := versions(t, c, "amd64", false); got != "agent 1.0.0" {
		t.Errorf("production gets %q", got)
	}
	if _, err := c.Publish(t.Context(), archive(t, "agent", "1.0.0", "amd64", "other"), components.Production); err == nil {
		t.Error("other content under the same version was published")
	}
	all, err := c.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Errorf("list %v, %v", all, err)
	}
}

func TestPublishRefusesWhatIsNotAPackage(t *testing.T) {
	c, _, dir := newCatalogue(t)
	bad := filepath.Join(t.TempDir(), "x.tar.gz")
	if err := os.WriteFile(bad, []byte("no archive"), 0o644); err != nil {
		t.Fatal(err)
	}
	rpm := filepath.Join(t.TempDir(), "deskyard-agent-1.0.0-1.x86_64.rpm")
	if err := os.WriteFile(rpm, []byte("no rpm at all"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{bad, rpm, "missing.deb", "x.txt", deb(t, "other_1.0_amd64.deb", "x"), deb(t, "deskyard-agent_1=2_amd64.deb", "x")} {
		if _, err := c.Publish(t.Context(), file, components.Production); err == nil {
			t.Errorf("%s was published", filepath.Base(file))
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, "blobs"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestPublishFolderTakesPackagesAndTheirRingsAndTellsOfBadOnes(t *testing.T) {
	c, _, _ := newCatalogue(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "validation"), 0o755); err != nil {
		t.Fatal(err)
	}
	for to, from := range map[string]string{"a.tar.gz": archive(t, "agent", "1.0.0", "amd64", "a"), "validation/a.tar.gz": archive(t, "agent", "1.1.0", "amd64", "b"), "README": deb(t, "x", "x"), "bad.deb": deb(t, "y", "y")} {
		if err := os.Rename(from, filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.PublishFolder(t.Context(), dir, components.Production)
	if len(got) != 2 || err == nil || !strings.Contains(err.Error(), "bad.deb") {
		t.Errorf("%d published, %v", len(got), err)
	}
	if p, v := versions(t, c, "amd64", false), versions(t, c, "amd64", true); p != "agent 1.0.0" || v != "agent 1.1.0" {
		t.Errorf("production %q, validation %q", p, v)
	}
	if _, err := c.PublishFolder(t.Context(), filepath.Join(dir, "missing"), components.Production); err != nil {
		t.Errorf("a missing folder: %v", err)
	}
}

func get(t *testing.T, s *httptest.Server, path string, header ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, b
}

// The published PowerShell script reads, word for word:
//
//	$fileName = ($download.Headers.'Content-Disposition').Split('=')[1].Replace('"','')
//	$output.write($download.Content, 0, $download.RawContentLength)
func TestThePublishedDownloadScriptGetsNameAndWholeBody(t *testing.T) {
	c, s, _ := newCatalogue(t)
	publish(t, c, deb(t, "deskyard-agent_1.2.3_amd64.deb", "old"), components.Production)
	publish(t, c, deb(t, "deskyard-agent_1.10.0_amd64.deb", "new body"), components.Production)
	publish(t, c, deb(t, "deskyard-agent_2.0.0_amd64.deb", "not rolled out"), components.Validation)
	publish(t, c, deb(t, "deskyard-bootloader_1.0.0_arm64.deb", "boot"), components.Production)
	for path, want := range map[string][2]string{
		"/downloads/agent": {"deskyard-agent_1.10.0_amd64.deb", "!<arch>\nnew body"},
		"/downloads/agent?os=linux&arch=amd64&format=deb": {"deskyard-agent_1.10.0_amd64.deb", "!<arch>\nnew body"},
		"/downloads/bootloader?os=linux&arch=arm64":       {"deskyard-bootloader_1.0.0_arm64.deb", "!<arch>\nboot"},
	} {
		resp, body := get(t, s, path, "Range", "bytes=3-")
		parts := strings.Split(resp.Header.Get("Content-Disposition"), "=")
		if len(parts) != 2 {
			t.Fatalf("%s: %q has not exactly one =", path, parts)
		}
		if name := strings.ReplaceAll(parts[1], `"`, ""); name != want[0] {
			t.Errorf("%s is named %q, not %q", path, name, want[0])
		}
		if resp.StatusCode != http.StatusOK || string(body) != want[1] || resp.ContentLength != int64(len(want[1])) {
			t.Errorf("%s: %s, %q, length %d", path, resp.Status, body, resp.ContentLength)
		}
	}
	for _, path := range []string{"/downloads/agent?os=windows", "/downloads/agent?format=tar.gz", "/downloads/stack", "/downloads/agent?arch=mips"} {
		if resp, body := get(t, s, path); resp.StatusCode != http.StatusNotFound || !json.Valid(body) {
			t.Errorf("%s: %s, %q", path, resp.Status, body)
		}
	}
}

func TestABootLoaderFetchesVerifiesAndUnpacksWhatWasPublished(t *testing.T) {
	c, s, _ := newCatalogue(t)
	publish(t, c, archive(t, "agent", "1.0.0", "amd64", "the program"), components.Production)
	all, err := c.Desired(t.Context(), "linux", "amd64", false)
	if err != nil {
		t.Fatal(err)
	}
	fetch := bootloader.HTTPFetcher{Client: s.Client(), Bases: []string{"https://127.0.0.1:1", s.URL}}
	read := func(path string, from int64) ([]byte, int64) {
		t.Helper()
		body, at, err := fetch.Fetch(t.Context(), path, from)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		b, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		return b, at
	}
	manifest, _ := read(all[0].Manifest, 0)
	release, location, err := bootloader.OpenRelease(c.PublicKey(), manifest)
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := read(location, 0)
	rest, at := read(location, 10)
	if at != 10 || !bytes.Equal(rest, whole[10:]) {
		t.Errorf("range begins at %d", at)
	}
	dir := t.TempDir()
	if err := bootloader.Unpack(bytes.NewReader(whole), release.Manifest, dir); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "run")); string(b) != "the program" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	first, _ := get(t, s, all[0].Manifest)
	if again, _ := get(t, s, all[0].Manifest, "If-None-Match", first.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("unchanged manifest: %s", again.Status)
	}
	if err := c.Withdraw(t.Context(), "agent", "1.0.0"); err != nil {
		t.Fatal(err)
	}
	if resp, _ := get(t, s, all[0].Manifest); resp.StatusCode != http.StatusNotFound {
		t.Errorf("withdrawn manifest: %s", resp.Status)
	}
}

func TestTwoNodesSeeOneCatalogue(t *testing.T) {
	db, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "store.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	open := func() *components.Catalogue {
		c, err := components.Open(components.Options{Store: db, Dir: t.TempDir(), Key: key, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := open(), open()
	if got := versions(t, b, "amd64", false); got != "" {
		t.Errorf("empty catalogue gives %q", got)
	}
	file := archive(t, "agent", "1.0.0", "amd64", "a")
	publish(t, a, file, components.Production)
	now = now.Add(time.Minute)
	if got := versions(t, b, "amd64", false); got != "agent 1.0.0" {
		t.Errorf("the other node gives %q", got)
	}
	// The file is not there yet; a request says so, and publishing it there mends it.
	s := httptest.NewServer(b.Handler())
	defer s.Close()
	all, err := b.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	path := "/agent/v1/components/blobs/" + all[0].Blob.SHA256
	if resp, _ := get(t, s, path); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("missing file: %s", resp.Status)
	}
	publish(t, b, file, components.Production)
	if resp, _ := get(t, s, path); resp.StatusCode != http.StatusOK {
		t.Errorf("file published here, too: %s", resp.Status)
	}
}
