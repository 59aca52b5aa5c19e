package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// The Graph door is the part of Microsoft Graph v1.0 that az, Terraform and our own
// command line use to manage a directory. It needs Deskyard's own RBAC actions
// (Microsoft.Directory/users/read and so on) at the tenant's root, where Entra has
// directory roles.

// Bounds of lists, as Graph's.
const (
	defaultTop = 100
	maxTop     = 999
)

// ownsGraph reports whether a path belongs to the Graph door.
func ownsGraph(path string) bool {
	_, _, ok := graphPath(path)
	return ok
}

// graphPath splits a path of the Graph door. Tools put the version behind the Graph
// endpoint of a cloud, which is "{base}/graph" or the base itself, with or without
// doubled slashes.
func graphPath(path string) (prefix string, parts []string, ok bool) {
	if len(path) > 2048 {
		return "", nil, false
	}
	parts = fieldsOf(path, '/')
	if len(parts) > 0 && strings.EqualFold(parts[0], "graph") {
		prefix, parts = "/graph", parts[1:]
	}
	if len(parts) == 0 || !strings.EqualFold(parts[0], "v1.0") && !strings.EqualFold(parts[0], "beta") {
		return prefix, nil, prefix != ""
	}
	return prefix + "/" + strings.ToLower(parts[0]), parts[1:], true
}

// graphCall is one request to the Graph door.
type graphCall struct {
	s      *Service
	r      *http.Request
	who    deskyard.Principal
	prefix string   // path before the collection
	ids    []string // what stood for * in the route
	body   []byte
	object string // id of what was changed, for the audit log
}

// graphRoute is one operation. In path, "*" stands for an id.
type graphRoute struct {
	method string
	path   string
	action string // RBAC action; "" needs only a valid token
	handle func(*graphCall, context.Context) (status int, body any, err error)
}

var graphRoutes = []graphRoute{
	{"GET", "me", "", (*graphCall).me},
	{"GET", "organization", "", (*graphCall).organization},

	{"GET", "users", "Microsoft.Directory/users/read", (*graphCall).listUsers},
	{"POST", "users", "Microsoft.Directory/users/write", (*graphCall).createUser},
	{"GET", "users/*", "Microsoft.Directory/users/read", (*graphCall).getUser},
	{"PATCH", "users/*", "Microsoft.Directory/users/write", (*graphCall).patchUser},
	{"DELETE", "users/*", "Microsoft.Directory/users/delete", (*graphCall).deleteUser},
	{"POST", "users/*/resetPassword", "Microsoft.Directory/users/password/write", (*graphCall).resetPassword},
	{"POST", "users/*/unlock", "Microsoft.Directory/users/write", (*graphCall).unlockUser},
	{"POST", "users/*/revokeSignInSessions", "Microsoft.Directory/users/write", (*graphCall).revokeUser},
	{"GET", "users/*/authentication/methods", "Microsoft.Directory/users/read", (*graphCall).listMethods},
	{"DELETE", "users/*/authentication/methods/*", "Microsoft.Directory/users/password/write", (*graphCall).deleteMethod},
	{"GET", "users/*/memberOf", "Microsoft.Directory/users/read", (*graphCall).memberOf},
	{"GET", "users/*/transitiveMemberOf", "Microsoft.Directory/users/read", (*graphCall).memberOf},
	{"POST", "users/*/getMemberGroups", "Microsoft.Directory/users/read", (*graphCall).memberGroups},

	{"GET", "groups", "Microsoft.Directory/groups/read", (*graphCall).listGroups},
	{"POST", "groups", "Microsoft.Directory/groups/write", (*graphCall).createGroup},
	{"GET", "groups/*", "Microsoft.Directory/groups/read", (*graphCall).getGroup},
	{"PATCH", "groups/*", "Microsoft.Directory/groups/write", (*graphCall).patchGroup},
	{"DELETE", "groups/*", "Microsoft.Directory/groups/delete", (*graphCall).deleteGroup},
	{"GET", "groups/*/members", "Microsoft.Directory/groups/members/read", (*graphCall).listMembers},
	{"POST", "groups/*/members/$ref", "Microsoft.Directory/groups/members/write", (*graphCall).addMember},
	{"DELETE", "groups/*/members/*/$ref", "Microsoft.Directory/groups/members/write", (*graphCall).removeMember},
	{"POST", "groups/*/getMemberGroups", "Microsoft.Directory/groups/read", (*graphCall).memberGroups},

	{"GET", "servicePrincipals", "Microsoft.Directory/servicePrincipals/read", (*graphCall).listServicePrincipals},
	{"POST", "servicePrincipals", "Microsoft.Directory/servicePrincipals/write", (*graphCall).createServicePrincipal},
	{"GET", "servicePrincipals/*", "Microsoft.Directory/servicePrincipals/read", (*graphCall).getServicePrincipal},
	{"PATCH", "servicePrincipals/*", "Microsoft.Directory/servicePrincipals/write", (*graphCall).patchServicePrincipal},
	{"DELETE", "servicePrincipals/*", "Microsoft.Directory/servicePrincipals/delete", (*graphCall).deleteServicePrincipal},
	{"POST", "servicePrincipals/*/addPassword", "Microsoft.Directory/servicePrincipals/credentials/write", (*graphCall).addPassword},
	{"POST", "servicePrincipals/*/removePassword", "Microsoft.Directory/servicePrincipals/credentials/write", (*graphCall).removePassword},
	{"POST", "servicePrincipals/*/getMemberGroups", "Microsoft.Directory/servicePrincipals/read", (*graphCall).memberGroups},

	{"GET", "applications", "Microsoft.Directory/applications/read", (*graphCall).listApplications},
	{"POST", "applications", "Microsoft.Directory/applications/write", (*graphCall).createApplication},
	{"GET", "applications/*", "Microsoft.Directory/applications/read", (*graphCall).getApplication},
	{"PATCH", "applications/*", "Microsoft.Directory/applications/write", (*graphCall).patchServicePrincipal},
	{"DELETE", "applications/*", "Microsoft.Directory/applications/delete", (*graphCall).deleteServicePrincipal},
	{"POST", "applications/*/addPassword", "Microsoft.Directory/applications/credentials/write", (*graphCall).addPassword},
	{"POST", "applications/*/removePassword", "Microsoft.Directory/applications/credentials/write", (*graphCall).removePassword},

	{"GET", "devices", "Microsoft.Directory/devices/read", (*graphCall).listDevices},
	{"GET", "devices/*", "Microsoft.Directory/devices/read", (*graphCall).getDevice},
	{"PATCH", "devices/*", "Microsoft.Directory/devices/write", (*graphCall).patchDevice},
	{"DELETE", "devices/*", "Microsoft.Directory/devices/delete", (*graphCall).deleteDevice},

	{"GET", "directoryObjects/*", "Microsoft.Directory/directoryObjects/read", (*graphCall).getObject},
	{"POST", "directoryObjects/getByIds", "Microsoft.Directory/directoryObjects/read", (*graphCall).objectsByID},
	{"POST", "directoryObjects/*/getMemberGroups", "Microsoft.Directory/directoryObjects/read", (*graphCall).memberGroups},
	{"POST", "directoryObjects/*/checkMemberGroups", "Microsoft.Directory/directoryObjects/read", (*graphCall).checkMemberGroups},
}

func (s *Service) serveGraph(w http.ResponseWriter, r *http.Request) {
	r = r.WithContext(context.WithValue(r.Context(), requestKey, r))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !s.requests.allow(originKey(s.address(r))) {
		w.Header().Set("Retry-After", "1")
		s.failGraph(w, r, arm.Errorf(arm.Throttled, "TooManyRequests", "Too many requests from this address. Try again in a moment."))
		return
	}
	status, body, err := s.answerGraph(w, r)
	if err != nil {
		s.failGraph(w, r, err)
		return
	}
	if body == nil {
		w.WriteHeader(status)
		return
	}
	writeJSON(w, status, body)
}

func (s *Service) answerGraph(w http.ResponseWriter, r *http.Request) (int, any, error) {
	who, err := s.authenticate(r, graphResource)
	if err != nil {
		return 0, nil, err
	}
	prefix, parts, _ := graphPath(r.URL.Path)
	route, ids, err := findRoute(r.Method, parts)
	if err != nil {
		return 0, nil, err
	}
	c := &graphCall{s: s, r: r, who: who, prefix: prefix, ids: ids}
	if err := s.allowRoute(r.Context(), who, route); err != nil {
		s.noteGraph(c, route, err)
		return 0, nil, err
	}
	c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return 0, nil, arm.Errorf(arm.TooLarge, "Request_EntityTooLarge", "The request body is larger than %d bytes.", maxForm)
	}
	if err != nil {
		return 0, nil, badRequest("body", "The request body could not be read.")
	}
	status, body, err := route.handle(c, r.Context())
	s.noteGraph(c, route, err)
	return status, body, err
}

// actionAssignRoles is what every change of the directory needs besides its own
// action: who sets a password, adds a secret or a member can act as somebody else,
// and so has whatever roles they have. Without it a Contributor, who may do all but
// give out roles, could make himself Owner.
const actionAssignRoles = "Microsoft.Authorization/roleAssignments/write"

func (s *Service) allowRoute(ctx context.Context, who deskyard.Principal, route graphRoute) error {
	if route.action == "" {
		return nil
	}
	if err := s.allow(ctx, who, route.action); err != nil || !route.changes() {
		return err
	}
	return s.allow(ctx, who, actionAssignRoles)
}

// changes reports whether the operation changes the directory.
func (r graphRoute) changes() bool { return r.action != "" && !strings.HasSuffix(r.action, "/read") }

func (s *Service) allow(ctx context.Context, who deskyard.Principal, action string) error {
	if s.options.Allow == nil {
		return arm.Errorf(arm.Forbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
	}
	return s.options.Allow(ctx, who, action, arm.ResourceID{})
}

// noteGraph audits changes, and attempts at them.
func (s *Service) noteGraph(c *graphCall, route graphRoute, err error) {
	if !route.changes() {
		return
	}
	e := event{action: route.action, id: c.who.ObjectID, name: c.who.Name, kind: c.who.Kind, status: http.StatusOK}
	collection, _, _ := strings.Cut(route.path, "/")
	e.scope = "/providers/Microsoft.Directory/" + collection
	if len(c.ids) > 0 {
		e.scope += "/" + url.PathEscape(clip(c.ids[0]))
	} else if c.object != "" {
		e.scope += "/" + c.object
	}
	if len(c.ids) > 1 {
		e.detail = "member " + clip(c.ids[1])
	}
	if err != nil {
		e.status, e.code, _ = graphStatus(err)
	}
	s.note(c.r.Context(), e)
}

// findRoute matches path and method; a literal part wins over an id.
func findRoute(method string, parts []string) (graphRoute, []string, error) {
	known := false
	var found graphRoute
	var ids []string
	for _, route := range graphRoutes {
		captured, ok := matchRoute(route.path, parts)
		if !ok {
			continue
		}
		known = true
		if route.method == method && (found.handle == nil || len(captured) < len(ids)) {
			found, ids = route, captured
		}
	}
	switch {
	case found.handle != nil:
		return found, ids, nil
	case known:
		return found, nil, arm.Errorf(arm.MethodRefused, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
	}
	return found, nil, arm.Errorf(arm.Missing, "BadRequest", "Resource not found for the segment '%s'.", clip(strings.Join(parts, "/")))
}

func matchRoute(path string, parts []string) (ids []string, ok bool) {
	want := strings.Split(path, "/")
	if len(want) != len(parts) {
		return nil, false
	}
	for i, w := range want {
		switch {
		case w == "*":
			ids = append(ids, parts[i])
		case !strings.EqualFold(w, parts[i]):
			return nil, false
		}
	}
	return ids, true
}

// graphStatuses are the HTTP statuses of the kinds of errors.
var graphStatuses = map[arm.Kind]int{
	arm.Invalid: http.StatusBadRequest, arm.Unauthenticated: http.StatusUnauthorized, arm.Forbidden: http.StatusForbidden,
	arm.Missing: http.StatusNotFound, arm.MethodRefused: http.StatusMethodNotAllowed, arm.Conflicting: http.StatusConflict,
	arm.Precondition: http.StatusPreconditionFailed, arm.TooLarge: http.StatusRequestEntityTooLarge,
	arm.Unsupported: http.StatusUnsupportedMediaType, arm.Throttled: http.StatusTooManyRequests, arm.Unavailable: http.StatusServiceUnavailable,
}

// graphStatus turns an error into Graph's status, code and message.
func graphStatus(err error) (status int, code, message string) {
	var e *arm.Error
	if !errors.As(err, &e) {
		return http.StatusInternalServerError, "Service_InternalServerError", "Encountered an internal server error."
	}
	code = e.Code
	switch e.Kind {
	case arm.Forbidden:
		code = "Authorization_RequestDenied"
	case arm.Missing:
		if code != "BadRequest" {
			code = "Request_ResourceNotFound"
		}
	case arm.Conflicting:
		// Graph reports a name that is taken as 400 with this message; az prints it.
		return http.StatusBadRequest, "Request_BadRequest", "Another object with the same value for property userPrincipalName or displayName already exists, or the reference exists already: " + e.Message
	}
	return graphStatuses[e.Kind], code, e.Message
}

func (s *Service) failGraph(w http.ResponseWriter, r *http.Request, err error) {
	status, code, message := graphStatus(err)
	switch status {
	case http.StatusInternalServerError:
		s.log.ErrorContext(r.Context(), "directory request broken off", "method", r.Method, "path", r.URL.Path, "error", err)
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", s.Challenge(r, err))
	}
	writeJSON(w, status, map[string]any{"error": map[string]any{
		"code": code, "message": message,
		"innerError": map[string]string{
			"date": s.now().UTC().Format("2006-01-02T15:04:05"), "request-id": uuid.NewString(), "client-request-id": correlationID(r),
		},
	}})
}

// decode reads the body; an empty one is an empty object.
func (c *graphCall) decode(into any) error {
	if len(c.body) == 0 {
		return nil
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		return badRequest("body", "The request body is not valid JSON for this operation: %s.", err)
	}
	return nil
}

// context is the @odata.context of an answer.
func (c *graphCall) context(of string) string {
	return c.s.base(c.r) + c.prefix + "/$metadata#" + of
}

// one makes the answer of a single object.
func (c *graphCall) one(of string, o map[string]any) map[string]any {
	o["@odata.context"] = c.context(of + "/$entity")
	return c.selected(o)
}

// selected keeps the properties of $select.
func (c *graphCall) selected(o map[string]any) map[string]any {
	list := c.r.URL.Query().Get("$select")
	if list == "" {
		return o
	}
	kept := map[string]any{}
	for k, v := range o {
		if strings.HasPrefix(k, "@") {
			kept[k] = v
		}
		for _, name := range strings.Split(list, ",") {
			if strings.EqualFold(strings.TrimSpace(name), k) {
				kept[k] = v
			}
		}
	}
	return kept
}

// top is the size of a page.
func (c *graphCall) top() (int, error) {
	text := c.r.URL.Query().Get("$top")
	if text == "" {
		return defaultTop, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxTop {
		return 0, badRequest("$top", "Invalid page size specified: '%s'. Must be between 1 and %d inclusive.", clip(text), maxTop)
	}
	return n, nil
}

// listing is how one collection is listed.
type listing[T any] struct {
	of    string // collection, for the context
	fetch func(ctx context.Context, q Query) (deskyard.Page[T], error)
	// look finds the one row that a filter can only mean; nil when it must be searched for.
	look   func(ctx context.Context, f *filter) (row *T, ok bool, err error)
	attr   func(T) attributes
	render func(T) map[string]any
}

// list answers a collection with $filter, $top, $select and paging.
func list[T any](ctx context.Context, c *graphCall, l listing[T]) (int, any, error) {
	q := c.r.URL.Query()
	var zero T
	f, err := parseFilter(q.Get("$filter"), l.attr(zero))
	if err != nil {
		return 0, nil, err
	}
	top, err := c.top()
	if err != nil {
		return 0, nil, err
	}
	rows, next := []map[string]any{}, q.Get("$skiptoken")
	row, direct, err := l.look(ctx, f)
	if err != nil {
		return 0, nil, err
	}
	if direct {
		if row != nil {
			rows = append(rows, c.selected(l.render(*row)))
		}
		next = ""
	}
	// A sparse filter may end a page early, rather than fetch ever smaller pieces to fill it.
	for !direct && (len(rows) == 0 || top-len(rows) > top/4) {
		page, err := l.fetch(ctx, Query{After: next, Limit: top - len(rows)})
		if err != nil {
			return 0, nil, fmt.Errorf("list %s: %w", l.of, err)
		}
		for _, item := range page.Items {
			if f.matches(l.attr(item)) {
				rows = append(rows, c.selected(l.render(item)))
			}
		}
		if next = page.Next; next == "" {
			break
		}
	}
	answer := map[string]any{"@odata.context": c.context(l.of), "value": rows}
	if next != "" {
		q.Set("$skiptoken", next)
		answer["@odata.nextLink"] = c.s.base(c.r) + c.prefix + "/" + l.of + "?" + q.Encode()
	}
	return http.StatusOK, answer, nil
}
