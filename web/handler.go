package web

import (
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// Root is the path below which the client is served; its redirect URI is the base URL
// and this.
const Root = "/web/"

// Portal is the path of the administrators' portal, whose files lie below Root.
const Portal = "/portal/"

// Options make a Handler; all may be zero.
type Options struct {
	Files fs.FS // nil: Files()

	// Gateways are origins such as "wss://gw.example" of gateways that are not this
	// server: the client's policy lets it connect there, and nowhere else.
	Gateways []string
}

// Owns reports whether a path is the client's.
func Owns(p string) bool {
	return p == "/" || p == "/web" || strings.HasPrefix(p, Root) || p == "/favicon.ico" || p == "/portal" || p == Portal
}

// Handler serves the client: the paths of Owns.
type Handler struct {
	files  fs.FS
	policy string
}

// New makes a Handler. It fails for a gateway that is not an origin.
func New(o Options) (*Handler, error) {
	h := &Handler{files: o.Files}
	if h.files == nil {
		h.files = Files()
	}
	for _, g := range o.Gateways {
		if !strings.HasPrefix(g, "wss://") || strings.ContainsAny(g[len("wss://"):], "/;, '\"") || len(g) == len("wss://") {
			return nil, fmt.Errorf("serve the web client: gateway %q is not an origin such as wss://gw.example", g)
		}
	}
	h.policy = policy(o.Gateways)
	return h, nil
}

// emptyHash lets in style elements that are empty when inserted: the component library
// fills them through the object model, which the policy does not govern.
const emptyHash = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"

// policy is the Content-Security-Policy of the client's pages. wasm-unsafe-eval allows
// the RDP client's WebAssembly and no script; img-src data: is for mouse pointers that
// session hosts draw.
func policy(gateways []string) string {
	return "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' " + emptyHash +
		"; img-src 'self' data:; font-src 'self'; connect-src " + strings.Join(append([]string{"'self'"}, gateways...), " ") +
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "The web client is only read: use GET.", http.StatusMethodNotAllowed)
		return
	}
	switch p := r.URL.Path; p {
	case "/", "/web":
		header.Set("Cache-Control", "no-store")
		http.Redirect(w, r, Root, http.StatusFound)
	case "/portal":
		header.Set("Cache-Control", "no-store")
		http.Redirect(w, r, Portal, http.StatusFound)
	case Portal:
		h.serveFile(w, r, "portal.html")
	case "/favicon.ico":
		h.serveFile(w, r, "favicon.svg")
	case Root:
		h.serveFile(w, r, "index.html")
	default:
		h.serveFile(w, r, strings.TrimPrefix(p, Root))
	}
}

// forms are the ways a file lies in dist, the smallest first.
var forms = []struct{ ending, coding string }{{".br", "br"}, {".gz", "gzip"}, {"", ""}}

// serveFile answers with one file of the build. Only exact names of files exist: folders
// and the compressed forms do not.
func (h *Handler) serveFile(w http.ResponseWriter, r *http.Request, name string) {
	if !fs.ValidPath(name) || strings.HasPrefix(path.Base(name), ".") || strings.HasSuffix(name, ".br") || strings.HasSuffix(name, ".gz") {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Vary", "Accept-Encoding")
	for _, form := range forms {
		if form.coding != "" && !accepts(r, form.coding) {
			continue
		}
		if content, err := fs.ReadFile(h.files, name+form.ending); err == nil {
			h.send(w, r, name, form.coding, content)
			return
		}
	}
	if packed, err := h.files.Open(name + ".gz"); err == nil {
		defer packed.Close() // a file in memory
		h.sendUnpacked(w, r, name, packed)
		return
	}
	if name == "index.html" || name == "portal.html" {
		h.notBuilt(w, r)
		return
	}
	http.NotFound(w, r)
}

func (h *Handler) describe(w http.ResponseWriter, name string) {
	header := w.Header()
	header.Set("Content-Type", typeOf(name))
	// The names below assets/ hold a hash of the content: another build has other names.
	if strings.HasPrefix(name, "assets/") {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		header.Set("Cache-Control", "no-cache")
	}
	if strings.HasSuffix(name, ".html") {
		secure(header, h.policy)
	}
}

// secure sets what guards a page.
func secure(header http.Header, policy string) {
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Frame-Options", "DENY")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "clipboard-read=(self), clipboard-write=(self), fullscreen=(self), camera=(), geolocation=(), microphone=(), payment=(), usb=()")
}

func (h *Handler) send(w http.ResponseWriter, r *http.Request, name, coding string, content []byte) {
	h.describe(w, name)
	if coding != "" {
		w.Header().Set("Content-Encoding", coding)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(content) // the browser is gone if this fails
	}
}

// sendUnpacked serves clients that take no compression.
func (h *Handler) sendUnpacked(w http.ResponseWriter, r *http.Request, name string, packed io.Reader) {
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		http.Error(w, "The web client in this program is damaged: build it again with make web.", http.StatusInternalServerError)
		return
	}
	h.describe(w, name)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = io.Copy(w, unpacked) // the browser is gone if this fails: the content was whole when it was built in
	}
}

// notBuilt says what is missing. It is a page, as people read it.
func (h *Handler) notBuilt(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	secure(header, "default-src 'none'; frame-ancestors 'none'")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Retry-After", strconv.Itoa(int(time.Hour/time.Second)))
	w.WriteHeader(http.StatusServiceUnavailable)
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, `<!doctype html><html lang="en"><title>Deskyard</title><h1>The web client is not in this program</h1>`+
			`<p>This deskyard was built without its web client. Build it with <code>make web build</code>, or use a native client.</p></html>`+"\n")
	}
}

// typeOf is the media type by the name's ending; the machine's own table is not asked.
func typeOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".wasm":
		return "application/wasm"
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".woff2":
		return "font/woff2"
	}
	return "application/octet-stream"
}

// accepts reports whether Accept-Encoding names a coding and does not weigh it with 0.
func accepts(r *http.Request, coding string) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, parameters, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil || !strings.EqualFold(name, coding) {
			continue
		}
		weight, err := strconv.ParseFloat(parameters["q"], 64)
		return parameters["q"] == "" || err == nil && weight > 0
	}
	return false
}
