package provision

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/deskyard/deskyard/arm"
)

const (
	// maxLinked bounds a linked document: Azure's limit on a template.
	maxLinked = 4 << 20
	// linkTimeout bounds one fetch, redirects included.
	linkTimeout = 30 * time.Second
	// maxRedirects is enough for a host that moved once or twice.
	maxRedirects = 4
)

// linkReader reads linked templates and parameter files from where Links allows it,
// and from nowhere else: a template is text from anywhere, and the service stands in
// a network that its author may not see.
type linkReader struct {
	links  Links
	client *http.Client
}

func newLinkReader(l Links) *linkReader {
	r := &linkReader{links: l}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		TLSClientConfig:       &tls.Config{RootCAs: l.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 20 * time.Second,
		DisableKeepAlives:     true, // a deployment reads a link once
	}
	r.client = &http.Client{Transport: transport, Timeout: linkTimeout, CheckRedirect: r.redirect}
	return r
}

// redirect follows to where a link might have pointed itself.
func (r *linkReader) redirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if req.URL.Scheme != "https" || !r.fetchable(req.URL) {
		return fmt.Errorf("it redirects to %s, where templates may not be linked from", req.URL.Redacted())
	}
	return nil
}

// fetchable reports whether u is on the list of hosts, or below the https target of
// a mirror.
func (r *linkReader) fetchable(u *url.URL) bool {
	for _, h := range r.links.Hosts {
		if sameHost(u, h) {
			return true
		}
	}
	for _, target := range r.links.Mirror {
		if t, err := url.Parse(target); err == nil && t.Scheme == "https" && sameHost(u, t.Host) {
			return true
		}
	}
	return false
}

func sameHost(u *url.URL, host string) bool {
	return strings.EqualFold(strings.TrimSuffix(u.Host, ":443"), strings.TrimSuffix(host, ":443"))
}

// read answers the document at uri. query is appended to what is fetched and never
// shown. Its errors are the deployment's to answer.
func (r *linkReader) read(ctx context.Context, uri, query string) ([]byte, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, badLink(uri, "it is not an absolute https address")
	}
	if prefix, target, ok := r.mirror(uri); ok {
		rest := strings.TrimPrefix(path.Clean("/"+withoutQuery(uri)[len(prefix):]), "/")
		if t, err := url.Parse(target); err == nil && t.Scheme == "https" {
			return r.fetch(ctx, uri, t.JoinPath(rest), "")
		}
		return readMirrored(uri, target, rest)
	}
	if u.Scheme != "https" {
		return nil, badLink(uri, "it is not an https address")
	}
	if !r.fetchable(u) {
		return nil, notLinked(u)
	}
	return r.fetch(ctx, uri, u, query)
}

// mirror finds the longest prefix that uri stands below.
func (r *linkReader) mirror(uri string) (prefix, target string, ok bool) {
	bare := withoutQuery(uri)
	for p, t := range r.links.Mirror {
		if len(p) > len(prefix) && below(bare, p) {
			prefix, target, ok = p, t, true
		}
	}
	return prefix, target, ok
}

// below reports whether uri is prefix or stands behind a slash after it; scheme and
// host compare without regard to case.
func below(uri, prefix string) bool {
	if len(uri) < len(prefix) {
		return false
	}
	head := uri[:len(prefix)]
	if head != prefix {
		host := hostEnd(prefix)
		if !strings.EqualFold(head[:host], prefix[:host]) || head[host:] != prefix[host:] {
			return false
		}
	}
	return strings.HasSuffix(prefix, "/") || len(uri) == len(prefix) || uri[len(prefix)] == '/'
}

func hostEnd(uri string) int {
	start := strings.Index(uri, "://")
	if start < 0 {
		return 0
	}
	if slash := strings.IndexByte(uri[start+3:], '/'); slash >= 0 {
		return start + 3 + slash
	}
	return len(uri)
}

func withoutQuery(uri string) string {
	bare, _, _ := strings.Cut(uri, "?")
	bare, _, _ = strings.Cut(bare, "#")
	return bare
}

// readMirrored reads a file below the operator's folder; os.Root keeps links and
// ".." inside it.
func readMirrored(uri, folder, rest string) ([]byte, error) {
	name, err := url.PathUnescape(rest)
	if err != nil {
		return nil, badLink(uri, "its path is not well formed")
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, badLink(uri, fmt.Sprintf("the folder %s that the mirror names cannot be opened", folder))
	}
	defer root.Close() //nolint:errcheck // nothing was written
	name = filepath.FromSlash(name)
	f, err := root.Open(name)
	if err != nil {
		return nil, badLink(uri, fmt.Sprintf("there is no file %s in the mirror's folder %s", name, folder))
	}
	defer f.Close() //nolint:errcheck // nothing was written
	return bounded(uri, f)
}

// fetch gets an address over https.
func (r *linkReader) fetch(ctx context.Context, uri string, u *url.URL, query string) ([]byte, error) {
	target := *u
	if query != "" {
		target.RawQuery = strings.TrimLeft(strings.Trim(target.RawQuery, "&")+"&"+strings.TrimLeft(query, "?&"), "&")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, badLink(uri, "it is not an https address")
	}
	req.Header.Set("Accept", "application/json, text/plain, */*")
	resp, err := r.client.Do(req)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) { // url.Error repeats the address with its query
			err = inner.Err
		}
		return nil, badLink(uri, fmt.Sprintf("%s does not answer: %v", target.Host, err))
	}
	defer resp.Body.Close() //nolint:errcheck // read to its bound
	if resp.StatusCode != http.StatusOK {
		return nil, badLink(uri, fmt.Sprintf("%s answers %s", target.Host, resp.Status))
	}
	return bounded(uri, resp.Body)
}

func bounded(uri string, r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxLinked+1))
	if err != nil {
		return nil, badLink(uri, "it could not be read to its end")
	}
	if len(b) > maxLinked {
		return nil, badLink(uri, fmt.Sprintf("it is larger than %d bytes", maxLinked))
	}
	return b, nil
}

// badLink is what Azure answers when it cannot download a linked template.
func badLink(uri, why string) *arm.Error {
	return arm.Errorf(arm.Invalid, "InvalidContentLink",
		"Unable to download deployment content from '%s': %s.", withoutQuery(uri), why)
}

// notLinked names the settings that would allow the link.
func notLinked(u *url.URL) *arm.Error {
	folder := u.Scheme + "://" + u.Host + strings.TrimSuffix(path.Dir(u.EscapedPath()), "/") + "/"
	return arm.Errorf(arm.Invalid, "InvalidContentLink",
		"Unable to download deployment content from '%s': templates are not fetched from '%s'. Either keep a copy and start the service with --template-mirror %s=FOLDER, where FOLDER holds '%s', or allow the host with --template-host %s.",
		withoutQuery(u.String()), u.Host, folder, path.Base(u.Path), u.Host)
}

// relativeTo resolves a relative path against the address of the template that
// names it.
func relativeTo(base, relative string) (string, error) {
	u, err := url.Parse(withoutQuery(base))
	if err != nil || u.Host == "" {
		return "", badLink(relative, "it is relative, and the template that names it was not linked by address")
	}
	r, err := url.Parse(relative)
	if err != nil || r.IsAbs() || r.Host != "" {
		return "", badLink(relative, "a relativePath must be a path")
	}
	return u.ResolveReference(r).String(), nil
}
