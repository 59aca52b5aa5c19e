package provision

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskyard/deskyard/arm"
)

func linkRefused(t *testing.T, err error, texts ...string) {
	t.Helper()
	var e *arm.Error
	if !errors.As(err, &e) || e.Code != "InvalidContentLink" {
		t.Fatalf("answered %v, want InvalidContentLink", err)
	}
	for _, text := range texts {
		if !strings.Contains(e.Message, text) {
			t.Errorf("there is no %q in %q", text, e.Message)
		}
	}
}

func TestLinksAreReadFromTheMirrorAndFromNoOtherPlace(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secret.json", "outside")
	write("templates/nested/a.json", "general")
	write("special/a.json", "special")
	r := newLinkReader(Links{Mirror: map[string]string{
		"https://raw.example.com/Azure":         filepath.Join(dir, "templates"),
		"https://raw.example.com/Azure/nested/": filepath.Join(dir, "special"),
	}})
	for uri, want := range map[string]string{
		"https://raw.example.com/Azure/nested/a.json":             "special", // the longest prefix
		"https://RAW.example.com/Azure/nested/a.json?sig=key":     "special",
		"https://raw.example.com/Azure/./nested/../nested/a.json": "",
	} {
		got, err := r.read(t.Context(), uri, "")
		if want != "" && (err != nil || string(got) != want) {
			t.Errorf("%s: %q, %v", uri, got, err)
		}
	}
	_, err := r.read(t.Context(), "https://raw.example.com/Azure/../secret.json", "")
	linkRefused(t, err)
	_, err = r.read(t.Context(), "https://raw.example.com/Azure/%2e%2e/secret.json", "")
	linkRefused(t, err)
	_, err = r.read(t.Context(), "https://raw.example.com/Azure/none.json?sig=key", "")
	linkRefused(t, err, "none.json", filepath.Join(dir, "templates"))
	if strings.Contains(err.Error(), "sig=key") {
		t.Errorf("the query is shown: %v", err)
	}
	_, err = r.read(t.Context(), "https://raw.example.com/Azurelike/a.json", "")
	linkRefused(t, err)
	_, err = r.read(t.Context(), "https://other.example.com/t/x.json?sig=key", "")
	linkRefused(t, err, "--template-mirror https://other.example.com/t/=FOLDER", "'x.json'", "--template-host other.example.com")
	_, err = r.read(t.Context(), "http://raw.example.com/x.json", "")
	linkRefused(t, err, "https")
}

func TestLinksAreFetchedFromAllowedHostsOverTrustedTLS(t *testing.T) {
	var elsewhere *httptest.Server
	queries := ""
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		queries = q.URL.RawQuery
		switch q.URL.Path {
		case "/away":
			http.Redirect(w, q, elsewhere.URL+"/t.json", http.StatusFound)
		case "/here":
			http.Redirect(w, q, "/t.json", http.StatusFound)
		case "/big":
			for range maxLinked/1024 + 1 {
				if _, err := w.Write(make([]byte, 1024)); err != nil {
					return
				}
			}
		case "/t.json":
			if _, err := w.Write([]byte("{}")); err != nil {
				t.Error(err)
			}
		default:
			http.NotFound(w, q)
		}
	}))
	defer srv.Close()
	elsewhere = httptest.NewTLSServer(http.NotFoundHandler())
	defer elsewhere.Close()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	r := newLinkReader(Links{Hosts: []string{u.Host}, Roots: pool})
	if got, err := r.read(t.Context(), srv.URL+"/t.json", "?sig=key"); err != nil || string(got) != "{}" || queries != "sig=key" {
		t.Errorf("%q, %v, query %q", got, err, queries)
	}
	if _, err := r.read(t.Context(), srv.URL+"/here", ""); err != nil {
		t.Errorf("a redirect on the host: %v", err)
	}
	_, err = r.read(t.Context(), srv.URL+"/away", "sig=key")
	linkRefused(t, err, "redirects")
	if strings.Contains(err.Error(), "sig=key") {
		t.Errorf("the query is shown: %v", err)
	}
	_, err = r.read(t.Context(), srv.URL+"/big", "")
	linkRefused(t, err, "larger than")
	_, err = r.read(t.Context(), srv.URL+"/none", "")
	linkRefused(t, err, "404")
	_, err = newLinkReader(Links{Hosts: []string{u.Host}}).read(t.Context(), srv.URL+"/t.json", "")
	linkRefused(t, err, "certificate")
	_, err = newLinkReader(Links{Roots: pool}).read(t.Context(), srv.URL+"/t.json", "")
	linkRefused(t, err, "--template-host "+u.Host)
}

func TestALinkedTemplateIsDeployedWithWhatItLinksBesideIt(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.json": `// comments are fine
{"$schema":"s","contentVersion":"1.0.0.0","resources":[{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"beside",
 "properties":{"mode":"Incremental","templateLink":{"relativePath":"parts/part.json"},"parameters":{"n":{"value":"x"}}}}]}`,
		"parts/part.json": `{"$schema":"s","contentVersion":"1.0.0.0","parameters":{"n":{"type":"string"}},"resources":[` +
			thing("things", "[concat(parameters('n'), '-', last(split(deployment().properties.templateLink.uri, '/')))]", "") + `]}`,
		"params.json": `{"parameters":{}}`,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g := newRig(t, func(o *Options) { o.Links.Mirror = map[string]string{"https://t.example/x/": dir} })
	g.mustDeploy("d1", `{"properties":{"mode":"Incremental","templateLink":{"uri":"https://t.example/x/main.json","contentVersion":"1.0.0.0"},"parametersLink":{"uri":"https://t.example/x/params.json"}}}`)
	p := g.ended("d1", stateSucceeded)
	has(t, p["templateLink"], "https://t.example/x/main.json")
	has(t, p["outputResources"], testThings+"x-part.json")
	err := g.deploy("d2", `{"properties":{"mode":"Incremental","templateLink":{"uri":"https://t.example/x/main.json","contentVersion":"2.0.0.0"}}}`)
	linkRefused(t, err, "contentVersion")
}
