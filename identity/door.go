package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// maxForm bounds what is read of any request to the issuer, in bytes.
const maxForm = 64 << 10

// shape is the family of endpoints that a client speaks.
type shape int

const (
	shapeV2   shape = iota // /{tenant}/oauth2/v2.0/…
	shapeV1                // /{tenant}/oauth2/…, with resource instead of scope
	shapeADFS              // /adfs/oauth2/…
)

// door is how a request came in: it decides the names that go into the answer.
type door struct {
	base   string // base URL
	tenant string // as the client wrote it: the GUID, "common" or "organizations"
	shape  shape
}

// version is the claim ver.
func (d door) version() string {
	if d.shape == shapeV2 {
		return "2.0"
	}
	return "1.0"
}

// root is the URL that authorize, token, devicecode and logout stand below.
func (d door) root() string {
	switch d.shape {
	case shapeADFS:
		return d.base + "/adfs/oauth2"
	case shapeV1:
		return d.base + "/" + d.tenant + "/oauth2"
	}
	return d.base + "/" + d.tenant + "/oauth2/v2.0"
}

// keysURL is where the key set is published.
func (d door) keysURL() string {
	switch d.shape {
	case shapeADFS:
		return d.base + "/adfs/discovery/keys"
	case shapeV1:
		return d.base + "/" + d.tenant + "/discovery/keys"
	}
	return d.base + "/" + d.tenant + "/discovery/v2.0/keys"
}

// issuerName is the claim iss, and what discovery says. It names the tenant by its
// GUID even when the client wrote "common": there is one tenant.
func (s *Service) issuerName(d door) string {
	switch d.shape {
	case shapeADFS:
		return d.base + "/adfs"
	case shapeV1:
		return d.base + "/" + s.tenant.ID + "/"
	}
	return d.base + "/" + s.tenant.ID + "/v2.0"
}

// endpoint is what a path asks for.
type endpoint int

const (
	noEndpoint endpoint = iota
	discoveryEndpoint
	keysEndpoint
	authorizeEndpoint
	tokenEndpoint
	deviceEndpoint
	logoutEndpoint
	instanceEndpoint
	realmEndpoint
	pageEndpoint
)

// inner are the endpoints' paths in the library's router.
var inner = map[endpoint]string{
	discoveryEndpoint: "/.well-known/openid-configuration", keysEndpoint: "/keys", authorizeEndpoint: "/authorize",
	tokenEndpoint: "/token", deviceEndpoint: "/devicecode", logoutEndpoint: "/logout",
}

// parsePath reads the path of a request. The tenant is as written, in lower case,
// and not checked.
func parsePath(path string) (e endpoint, sh shape, tenant string) {
	if len(path) > 1024 {
		return noEndpoint, 0, ""
	}
	parts := fieldsOf(strings.ToLower(path), '/')
	switch {
	case len(parts) == 1 && (parts[0] == "signin" || parts[0] == "signout" || parts[0] == "devicelogin" || parts[0] == "security"),
		len(parts) == 2 && parts[0] == "signin" && (parts[1] == "factor" || parts[1] == "elsewhere" || parts[1] == "back"):
		return pageEndpoint, 0, ""
	case len(parts) < 2:
		return noEndpoint, 0, ""
	}
	tenant, rest := parts[0], parts[1:]
	if tenant == "adfs" {
		// MSAL asks /adfs/adfs/.well-known/… for the "tenant" adfs, HashiCorp's SDK puts
		// the tenant's id behind a login endpoint that ends in /adfs.
		if len(rest) > 2 && (rest[0] == "adfs" || rest[0] == "common" || isGUID(rest[0])) {
			rest = rest[1:]
		}
		e, _ = endpointOf(rest)
		return e, shapeADFS, tenant
	}
	e, sh = endpointOf(rest)
	return e, sh, tenant
}

func endpointOf(rest []string) (endpoint, shape) {
	if rest[0] == "userrealm" && len(rest) == 2 {
		return realmEndpoint, shapeV2
	}
	switch strings.Join(rest, "/") {
	case "v2.0/.well-known/openid-configuration":
		return discoveryEndpoint, shapeV2
	case ".well-known/openid-configuration":
		return discoveryEndpoint, shapeV1
	case "discovery/v2.0/keys":
		return keysEndpoint, shapeV2
	case "discovery/keys":
		return keysEndpoint, shapeV1
	case "discovery/instance":
		return instanceEndpoint, shapeV2
	case "oauth2/v2.0/authorize":
		return authorizeEndpoint, shapeV2
	case "oauth2/authorize":
		return authorizeEndpoint, shapeV1
	case "oauth2/v2.0/token":
		return tokenEndpoint, shapeV2
	case "oauth2/token":
		return tokenEndpoint, shapeV1
	case "oauth2/v2.0/devicecode":
		return deviceEndpoint, shapeV2
	case "oauth2/devicecode":
		return deviceEndpoint, shapeV1
	case "oauth2/v2.0/logout":
		return logoutEndpoint, shapeV2
	case "oauth2/logout":
		return logoutEndpoint, shapeV1
	}
	return noEndpoint, 0
}

// Owns reports whether a path is the issuer's, one of its pages or the Graph
// door's. It overlaps with no path of Azure Resource Manager.
func Owns(path string) bool {
	e, _, _ := parsePath(path)
	return e != noEndpoint || ownsGraph(path)
}

type contextKey int

const (
	doorKey contextKey = iota
	requestKey
)

// doorOf is the door that a request came in by.
func doorOf(ctx context.Context) door { return ctx.Value(doorKey).(door) }

// requestOf is the whole HTTP request, for what the library does not hand on.
func requestOf(ctx context.Context) *http.Request { return ctx.Value(requestKey).(*http.Request) }

// Handler serves every path of Owns. It is not a ServeMux: clients send doubled
// slashes, which one would redirect.
func (s *Service) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ownsGraph(r.URL.Path) {
			s.serveGraph(w, r)
			return
		}
		s.serve(w, r)
	})
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request) {
	e, sh, tenant := parsePath(r.URL.Path)
	d := door{base: s.base(r), tenant: tenant, shape: sh}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer a browser would send "Origin: null" with our own forms
	if e == noEndpoint {
		http.NotFound(w, r)
		return
	}
	if !s.requests.allow(originKey(s.address(r))) {
		h.Set("Retry-After", "1")
		s.fail(w, r, e, http.StatusTooManyRequests, "temporarily_unavailable", "AADSTS90056: Too many requests from this address. Try again in a moment.")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		status := http.StatusBadRequest
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		s.fail(w, r, e, status, "invalid_request", "AADSTS900144: The request's parameters could not be read.")
		return
	}
	if e == pageEndpoint {
		s.pages.ServeHTTP(w, r)
		return
	}
	if sh != shapeADFS && !s.knowsTenant(tenant) {
		s.fail(w, r, e, http.StatusBadRequest, "invalid_tenant", "AADSTS90002: Tenant '"+clip(tenant)+
			"' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.")
		return
	}
	s.dispatch(w, r, e, d)
}

// dispatch hands a request that may go on to whoever answers it.
func (s *Service) dispatch(w http.ResponseWriter, r *http.Request, e endpoint, d door) {
	switch e {
	case instanceEndpoint:
		s.serveInstance(w, d)
		return
	case realmEndpoint:
		s.serveRealm(w, d)
		return
	case tokenEndpoint, deviceEndpoint:
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			s.fail(w, r, e, http.StatusBadRequest, "invalid_request", "AADSTS900561: The endpoint only accepts POST requests. Received a "+clip(r.Method)+" request.")
			return
		}
		r.Form = r.PostForm // a secret in the query would end up in logs
	}
	ctx := context.WithValue(r.Context(), doorKey, d)
	ctx = context.WithValue(ctx, requestKey, r)
	in := r.Clone(ctx)
	in.URL.Path, in.URL.RawPath = inner[e], ""
	in.Form, in.PostForm = r.Form, r.PostForm
	out := &failureWriter{ResponseWriter: w}
	if e == tokenEndpoint && r.PostForm.Get("grant_type") == "password" {
		s.servePasswordGrant(out, in)
	} else {
		s.issuer.ServeHTTP(out, in)
	}
	if out.failed() {
		status, kind, text := out.failure()
		s.fail(w, r, e, status, kind, text)
	}
}

func (s *Service) knowsTenant(tenant string) bool {
	return tenant == "common" || tenant == "organizations" || strings.EqualFold(tenant, s.tenant.ID)
}

// isGUID reports whether s has the form of a GUID, in either case.
func isGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return false
		}
	}
	return true
}

// fieldsOf splits at sep and leaves out what is empty.
func fieldsOf(s string, sep rune) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == sep })
}

// fields splits at blanks.
func fields(s string) []string { return strings.Fields(s) }

// clip bounds what a client sent before it goes into a message.
func clip(s string) string {
	const most = 100
	s = strings.ToValidUTF8(s, "?")
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
