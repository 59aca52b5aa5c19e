package armapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// readModel reads a stored resource's properties into a model.
func readModel[M any](r deskyard.Resource) (*M, error) {
	m := new(M)
	if err := json.Unmarshal(propertiesOf(r), m); err != nil {
		return nil, fmt.Errorf("read stored properties of %s: %w", r.ID, err)
	}
	return m, nil
}

// referred reads a resource that a body points at. One that does not exist is a
// fault of the body, so it is refused with 400 and the property's name.
func referred[M any](ctx context.Context, reader deskyard.Reader, path, id, code string) (deskyard.Resource, *M, error) {
	parsed, err := arm.ParseID(id)
	if err != nil {
		return deskyard.Resource{}, nil, arm.Errorf(arm.Invalid, code, "The value '%s' is not a resource id.", clip(id)).WithTarget(path)
	}
	r, err := reader.Resource(ctx, parsed)
	if arm.IsMissing(err) {
		return r, nil, arm.Errorf(arm.Invalid, code, "The resource '%s' that the request refers to does not exist. Create it first.", parsed).WithTarget(path)
	}
	if err != nil {
		return r, nil, err
	}
	m, err := readModel[M](r)
	return r, m, err
}

// wireIDOf spells an id as answers do, whatever type it is of.
func (s *Server) wireIDOf(id arm.ResourceID) string {
	if row := s.routes.types[strings.ToLower(id.Type())]; row != nil {
		return row.WireID(id)
	}
	return id.String()
}

func (s *Server) wireIDs(ids []arm.ResourceID) []string {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		out = append(out, s.wireIDOf(id))
	}
	return out
}

// childrenOf reads the children of one type of a whole page of resources with one
// query, by the key of the parent.
func childrenOf(ctx context.Context, reader deskyard.Reader, parents []deskyard.Resource, childType string) (map[string][]deskyard.Resource, error) {
	if len(parents) == 0 {
		return nil, nil
	}
	wanted := make(map[string]bool, len(parents))
	scope := parents[0].ID
	for _, p := range parents {
		wanted[p.ID.Key()] = true
		for !covers(scope, p.ID) {
			scope = scope.Parent()
		}
	}
	page, err := reader.Resources(ctx, deskyard.ResourceQuery{Scope: scope, Type: childType})
	if err != nil {
		return nil, err
	}
	children := map[string][]deskyard.Resource{}
	for _, c := range page.Items {
		if key := c.ID.Parent().Key(); wanted[key] {
			children[key] = append(children[key], c)
		}
	}
	return children, nil
}

// covers reports whether id is scope or lies below it.
func covers(scope, id arm.ResourceID) bool {
	if scope.IsZero() {
		return true
	}
	s, k := scope.Key(), id.Key()
	return k == s || strings.HasPrefix(k, s+"/")
}

func idsOf(rows []deskyard.Resource) []arm.ResourceID {
	out := make([]arm.ResourceID, len(rows))
	for i, r := range rows {
		out[i] = r.ID
	}
	return out
}

// rewrite stores a resource with changed properties: what a delete leaves behind
// in those that pointed at the deleted one.
func rewrite(ctx context.Context, w *Write, r deskyard.Resource, m deskyard.Model) error {
	properties, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode properties of %s: %w", r.ID, err)
	}
	r.Properties, r.Refs = properties, m.Refs()
	sd := &r.Envelope.SystemData
	sd.LastModifiedAt, sd.LastModifiedBy, sd.LastModifiedByType = w.Now, w.Principal.Name, w.Principal.Kind
	_, err = w.Tx.PutResource(ctx, r)
	return err
}

// sameLocation refuses a resource in another location than the one it belongs to.
func sameLocation(w *Write, what string, other deskyard.Resource) error {
	if canonicalLocation(w.New.Envelope.Location) == canonicalLocation(other.Envelope.Location) {
		return nil
	}
	return arm.Errorf(arm.Invalid, "LocationMismatch", "%s: '%s' is in '%s', '%s' in '%s'.", what,
		w.New.ID.Name(), w.New.Envelope.Location, other.ID.Name(), other.Envelope.Location).WithTarget("location")
}

func desktopKey(path string) string { return strings.ToLower(desktopNamespace + "/" + path) }

// newID makes the object id of a new resource.
func newID() string { return uuid.NewString() }
