package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sampleBuild(t *testing.T) fstest.MapFS {
	file := func(b []byte) *fstest.MapFile { return &fstest.MapFile{Data: b} }
	return fstest.MapFS{
		".gitkeep":              file(nil),
		"index.html.br":         file([]byte("br page")),
		"portal.html.br":        file([]byte("br portal")),
		"index.html.gz":         file(zipped(t, "<p>page</p>")),
		"favicon.svg.gz":        file(zipped(t, "<svg/>")),
		"assets/main-1.js.br":   file([]byte("br script")),
		"assets/main-1.js.gz":   file(zipped(t, "script")),
		"assets/iron-2.wasm.br": file([]byte("br wasm")),
		"assets/logo-3.png":     file([]byte("png")),
	}
}

func get(t *testing.T, h http.Handler, method, target, codings string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	if codings != "" {
		r.Header.Set("Accept-Encoding", codings)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func open(t *testing.T, o Options) *Handler {
	t.Helper()
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestTheShortPathsLeadToThePages(t *testing.T) {
	h := open(t, Options{Files: sampleBuild(t)})
	for target, want := range map[string]string{"/": Root, "/web": Root, "/portal": Portal} {
		r := get(t, h, "GET", target, "")
		if r.StatusCode != http.StatusFound || r.Header.Get("Location") != want || !Owns(target) || !Owns(want) {
			t.Errorf("GET %s: %d to %q", target, r.StatusCode, r.Header.Get("Location"))
		}
	}
}

func TestFilesGoOutInTheSmallestFormThatTheBrowserTakes(t *testing.T) {
	h := open(t, Options{Files: sampleBuild(t)})
	for _, c := range []struct{ target, codings, coding, kind, want string }{
		{"/web/", "gzip, deflate, br", "br", "text/html; charset=utf-8", "br page"},
		{"/portal/", "br", "br", "text/html; charset=utf-8", "br portal"},
		{"/web/", "gzip, br;q=0", "gzip", "text/html; charset=utf-8", ""},
		{"/web/", "", "", "text/html; charset=utf-8", "<p>page</p>"},
		{"/web/", "br;q=0, gzip;q=0", "", "text/html; charset=utf-8", "<p>page</p>"},
		{"/web/assets/main-1.js", "br", "br", "text/javascript; charset=utf-8", "br script"},
		{"/web/assets/main-1.js", "identity", "", "text/javascript; charset=utf-8", "script"},
		{"/web/assets/iron-2.wasm", "br", "br", "application/wasm", "br wasm"},
		{"/web/assets/logo-3.png", "br", "", "image/png", "png"},
		{"/favicon.ico", "", "", "image/svg+xml", "<svg/>"},
	} {
		r := get(t, h, "GET", c.target, c.codings)
		body := text(t, r)
		if r.StatusCode != 200 || r.Header.Get("Content-Encoding") != c.coding || r.Header.Get("Content-Type") != c.kind || r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("GET %s accepting %q: %d %v", c.target, c.codings, r.StatusCode, r.Header)
		}
		if c.want != "" && body != c.want {
			t.Errorf("GET %s accepting %q: body %q, want %q", c.target, c.codings, body, c.want)
		}
	}
}

func TestHashedFilesAreKeptForeverAndThePageIsAskedFor(t *testing.T) {
	h := open(t, Options{Files: sampleBuild(t)})
	if c := get(t, h, "GET", "/web/assets/main-1.js", "br").Header.Get("Cache-Control"); !strings.Contains(c, "immutable") {
		t.Errorf("hashed asset: Cache-Control %q", c)
	}
	if c := get(t, h, "GET", "/web/", "br").Header.Get("Cache-Control"); c != "no-cache" {
		t.Errorf("page: Cache-Control %q", c)
	}
}

func TestThePolicyAllowsNoOtherOriginAndNoInlineScript(t *testing.T) {
	h := open(t, Options{Files: sampleBuild(t), Gateways: []string{"wss://gw.example:8443"}})
	r := get(t, h, "GET", "/web/", "br")
	p := r.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self' 'wasm-unsafe-eval';", "connect-src 'self' wss://gw.example:8443;", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(p, want) {
			t.Errorf("policy %q lacks %q", p, want)
		}
	}
	for _, never := range []string{"unsafe-inline", "'unsafe-eval'", "*", "http:", "blob:"} {
		if strings.Contains(p, never) {
			t.Errorf("policy %q allows %q", p, never)
		}
	}
	if r.Header.Get("X-Frame-Options") != "DENY" || r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Cross-Origin-Opener-Policy") != "same-origin" {
		t.Errorf("headers %v", r.Header)
	}
}

func TestNothingButTheBuiltFilesIsServed(t *testing.T) {
	h := open(t, Options{Files: sampleBuild(t)})
	for _, target := range []string{"/web/assets", "/web/assets/", "/web/.gitkeep", "/web/index.html.gz", "/web/index.html.br", "/web/assets/main-1.js.br",
		"/web/../handler.go", "/web//index.html", "/web/missing.js", "/web/assets/%2e%2e/index.html"} {
		if r := get(t, h, "GET", target, "br"); r.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %d, want 404", target, r.StatusCode)
		}
	}
	if r := get(t, h, "POST", "/web/", ""); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", r.StatusCode)
	}
	if r := get(t, h, "HEAD", "/web/", "br"); r.StatusCode != 200 || text(t, r) != "" {
		t.Errorf("HEAD: %d", r.StatusCode)
	}
}

func TestAProgramWithoutTheClientSaysSo(t *testing.T) {
	h := open(t, Options{Files: fstest.MapFS{".gitkeep": &fstest.MapFile{}}})
	r := get(t, h, "GET", "/web/", "br")
	if body := text(t, r); r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "make web") {
		t.Errorf("%d %s", r.StatusCode, body)
	}
}

func TestAGatewayMustBeAnOrigin(t *testing.T) {
	for _, bad := range []string{"https://gw.example", "wss://", "wss://a/b", "wss://a; script-src *", "wss://a b"} {
		if _, err := New(Options{Gateways: []string{bad}}); err == nil {
			t.Errorf("New took the gateway %q", bad)
		}
	}
}

func TestWhatIsBuiltInIsAPageOrAbsent(t *testing.T) {
	h := open(t, Options{})
	if r := get(t, h, "GET", "/web/", ""); r.StatusCode != 200 && r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the built-in client answers %d", r.StatusCode)
	}
}
