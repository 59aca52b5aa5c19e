package armapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// genericOperation maps a method to a verb of the table.
func (x *exchange) genericOperation() (operation, error) {
	row, t := x.target.row, x.target
	read, write, del := row.permission("read"), row.permission("write"), row.permission("delete")
	switch m := x.r.Method; {
	case t.collection && m == http.MethodGet && x.listable():
		scope := t.id.Parent()
		return operation{permission: read, scope: scope, partial: row.Level == InGroup && len(t.id.Segments) <= 1,
			run: func(ctx context.Context) (Response, error) { return x.list(ctx, read, scope) }}, nil
	case t.collection:
	case m == http.MethodGet && row.Verbs.Get:
		return operation{permission: read, scope: t.id, run: x.get}, nil
	case m == http.MethodHead && row.Verbs.Get:
		return operation{permission: read, scope: t.id, run: x.head}, nil
	case m == http.MethodPut && row.Verbs.Put:
		return operation{permission: write, scope: t.id, run: func(ctx context.Context) (Response, error) { return x.write(ctx, true) }}, nil
	case m == http.MethodPatch && row.Verbs.Patch:
		return operation{permission: write, scope: t.id, run: func(ctx context.Context) (Response, error) { return x.write(ctx, false) }}, nil
	case m == http.MethodDelete && row.Verbs.Delete:
		return operation{permission: del, scope: t.id, run: x.delete}, nil
	}
	allowed := row.methods(t)
	if len(allowed) == 0 {
		return operation{}, unknownPath(x.r.URL.Path)
	}
	x.w.Header().Set("Allow", strings.Join(allowed, ", "))
	return operation{}, methodRefused(x.r.Method, allowed)
}

// listable reports whether the collection asked for can be listed at its scope.
func (x *exchange) listable() bool {
	row, id := x.target.row, x.target.id
	if row.Level == InGroup && id.ResourceGroup == "" {
		return row.Verbs.ListBySubscription
	}
	return row.Verbs.List
}

// permission is the RBAC action of a verb on the type.
func (row *ResourceType) permission(verb string) string {
	if row.Permission != "" {
		return row.Permission + "/" + verb
	}
	return row.Namespace + "/" + row.Wire + "/" + verb
}

// methods are those that a target answers.
func (row *ResourceType) methods(t target) []string {
	var out []string
	for _, a := range row.Actions {
		if a.Collection == t.collection && strings.EqualFold(a.Path, t.action) {
			m := a.Method
			if m == "" {
				m = http.MethodPost
			}
			out = append(out, m)
		}
	}
	if t.action != "" {
		return out
	}
	v := row.Verbs
	if t.collection {
		if v.List || v.ListBySubscription {
			out = append(out, http.MethodGet)
		}
		return out
	}
	for _, m := range []struct {
		has  bool
		name string
	}{{v.Get, http.MethodGet}, {v.Get, http.MethodHead}, {v.Put, http.MethodPut}, {v.Patch, http.MethodPatch}, {v.Delete, http.MethodDelete}} {
		if m.has && !containsFold(out, m.name) {
			out = append(out, m.name)
		}
	}
	return out
}

// get answers one resource.
func (x *exchange) get(ctx context.Context) (Response, error) {
	r, err := x.s.load(ctx, x.s.store, x.target.id)
	if err != nil {
		return Response{}, err
	}
	return x.answer(ctx, x.target.row, r, http.StatusOK, false, nil)
}

// head answers whether a resource exists: 204 or 404, as clients of Resource
// Manager expect.
func (x *exchange) head(ctx context.Context) (Response, error) {
	if _, err := x.s.load(ctx, x.s.store, x.target.id); err != nil {
		return Response{}, err
	}
	return Response{Status: http.StatusNoContent}, nil
}

// answer renders one resource.
func (x *exchange) answer(ctx context.Context, row *ResourceType, r deskyard.Resource, status int, written bool, extra map[string]any) (Response, error) {
	bodies, err := row.render(ctx, View{Reader: x.s.store, Fleet: x.s.fleet, Now: x.s.now(), Version: x.version, Written: written, Expand: x.expand()}, []deskyard.Resource{r})
	if err != nil {
		return Response{}, err
	}
	body, err := withProperties(bodies[0], extra)
	if err != nil {
		return Response{}, err
	}
	h := http.Header{}
	// No Location on a 201, although recordings of AVD show the relative id there:
	// az resource create and azcore take it for an operation to poll, az without an
	// api-version, and both fail. Without it they take the body as the end.
	h.Set("ETag", etag(r))
	return Response{Status: status, Body: body, Header: h}, nil
}

// load reads a resource; when it is missing, the error says what is: the group, the
// parent or the resource itself.
func (s *Server) load(ctx context.Context, reader deskyard.Reader, id arm.ResourceID) (deskyard.Resource, error) {
	r, err := reader.Resource(ctx, id)
	if arm.IsMissing(err) {
		return r, s.missing(ctx, reader, id)
	}
	return r, err
}

// missing says why id is not there.
func (s *Server) missing(ctx context.Context, reader deskyard.Reader, id arm.ResourceID) error {
	if err := s.groupExists(ctx, reader, id); err != nil {
		return err
	}
	return arm.NotFound(id)
}

// groupExists refuses an id in a resource group that does not exist.
func (s *Server) groupExists(ctx context.Context, reader deskyard.Reader, id arm.ResourceID) error {
	if id.ResourceGroup == "" {
		return nil
	}
	_, err := reader.Resource(ctx, id.Group())
	if arm.IsMissing(err) {
		return arm.NotFound(id.Group())
	}
	return err
}

// parentExists refuses a child of a resource, or a resource of a group, that does
// not exist.
func (s *Server) parentExists(ctx context.Context, reader deskyard.Reader, id arm.ResourceID) error {
	if len(id.Segments) == 0 { // a resource group
		return nil
	}
	if err := s.groupExists(ctx, reader, id); err != nil {
		return err
	}
	parent := id.Parent()
	if len(parent.Segments) == 0 {
		return nil
	}
	_, err := reader.Resource(ctx, parent)
	if arm.IsMissing(err) {
		return arm.Errorf(arm.Missing, "ParentResourceNotFound",
			"Can not perform requested operation on nested resource. Parent resource '%s' not found.", strings.Join(parent.Names(), "/"))
	}
	return err
}

// Load reads the stored resource that a request is about, with the right 404.
func (q *Request) Load(ctx context.Context, reader deskyard.Reader) (deskyard.Resource, error) {
	return q.server.load(ctx, reader, q.ID)
}

// etag is a resource's entity tag: it changes with every write.
func etag(r deskyard.Resource) string { return `"` + strconv.FormatInt(r.Version, 10) + `"` }

// errGone ends the transaction of a DELETE of what does not exist.
var errGone = errors.New("nothing to delete")
