package armapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// nested is a type of resource that stands in its parent's row: a subnet in its
// network, a rule in its security group. Reading and writing one is reading and
// writing the parent, so that both ways of naming it always agree.
type nested[P any, E any] struct {
	server     *Server
	path       string // "virtualNetworks/subnets"
	elements   func(parent *P) *[]E
	name       func(*E) *string
	properties func(*E) Model
	before     func(ctx context.Context, w *Write) error // the parent's hook
	remove     func(ctx context.Context, tx deskyard.Tx, id arm.ResourceID) error
	show       func(ctx context.Context, reader deskyard.Reader, parent arm.ResourceID, list []E) ([]part, error)
	changed    func(ctx context.Context, parent arm.ResourceID, m *P)
}

func (s *Server) subnetParts() *nested[deskyard.VirtualNetwork, deskyard.NamedSubnet] {
	return &nested[deskyard.VirtualNetwork, deskyard.NamedSubnet]{
		server: s, path: "virtualNetworks/subnets",
		elements:   func(n *deskyard.VirtualNetwork) *[]deskyard.NamedSubnet { return &n.Subnets },
		name:       func(e *deskyard.NamedSubnet) *string { return &e.Name },
		properties: func(e *deskyard.NamedSubnet) Model { return &e.Properties },
		before:     s.beforeNetwork,
		remove: func(ctx context.Context, tx deskyard.Tx, id arm.ResourceID) error {
			return subnetUnused(ctx, tx, id)
		},
		show:    s.showSubnets,
		changed: s.wakeSubnets,
	}
}

func (s *Server) ruleParts() *nested[deskyard.SecurityGroup, deskyard.NamedRule] {
	return &nested[deskyard.SecurityGroup, deskyard.NamedRule]{
		server: s, path: "networkSecurityGroups/securityRules",
		elements:   func(g *deskyard.SecurityGroup) *[]deskyard.NamedRule { return &g.Rules },
		name:       func(e *deskyard.NamedRule) *string { return &e.Name },
		properties: func(e *deskyard.NamedRule) Model { return &e.Properties },
		before:     beforeSecurityGroup,
		remove:     func(context.Context, deskyard.Tx, arm.ResourceID) error { return nil },
		show: func(_ context.Context, _ deskyard.Reader, parent arm.ResourceID, list []deskyard.NamedRule) ([]part, error) {
			return s.showRules(parent, "securityRules", list), nil
		},
		changed: func(ctx context.Context, parent arm.ResourceID, _ *deskyard.SecurityGroup) {
			s.wakeFiltered(ctx, parent)
		},
	}
}

func (n *nested[P, E]) resourceType() ResourceType {
	at := networkNamespace + "/" + n.path
	return ResourceType{Path: n.path, Actions: []Action{
		{Method: http.MethodGet, Collection: true, Permission: at + "/read", Handle: n.list},
		{Method: http.MethodGet, Permission: at + "/read", Handle: n.get},
		{Method: http.MethodHead, Permission: at + "/read", Handle: n.get},
		{Method: http.MethodPut, Permission: at + "/write", Handle: n.put},
		{Method: http.MethodDelete, Permission: at + "/delete", Handle: n.delete},
	}}
}

// parent reads the row that the elements stand in.
func (n *nested[P, E]) parent(ctx context.Context, reader deskyard.Reader, id arm.ResourceID) (deskyard.Resource, *P, error) {
	r, err := n.server.load(ctx, reader, id)
	if err != nil {
		return r, nil, err
	}
	m, err := readModel[P](r)
	return r, m, err
}

func (n *nested[P, E]) index(list []E, name string) int {
	return slices.IndexFunc(list, func(e E) bool { return strings.EqualFold(*n.name(&e), name) })
}

func (n *nested[P, E]) list(ctx context.Context, req *Request) (Response, error) {
	r, m, err := n.parent(ctx, n.server.store, req.ID)
	if err != nil {
		return Response{}, err
	}
	parts, err := n.show(ctx, n.server.store, r.ID, *n.elements(m))
	if err != nil {
		return Response{}, err
	}
	return req.ListResponse(anys(parts), ""), nil
}

func (n *nested[P, E]) get(ctx context.Context, req *Request) (Response, error) {
	r, m, err := n.parent(ctx, n.server.store, req.ID.Parent())
	if err != nil {
		return Response{}, err
	}
	i := n.index(*n.elements(m), req.ID.Name())
	if i < 0 {
		return Response{}, arm.NotFound(req.ID)
	}
	parts, err := n.show(ctx, n.server.store, r.ID, (*n.elements(m))[i:i+1])
	if err != nil {
		return Response{}, err
	}
	return Response{Body: parts[0], Header: http.Header{"Etag": {etag(r)}}}, nil
}

// put adds or replaces one element of its parent and checks the parent whole.
func (n *nested[P, E]) put(ctx context.Context, req *Request) (Response, error) {
	if err := checkName(req.Type, req.ID.Name()); err != nil {
		return Response{}, err
	}
	sent, err := parseBody(req.Body)
	if err != nil {
		return Response{}, err
	}
	var element E
	*n.name(&element) = req.ID.Name()
	if len(sent.properties) > 0 {
		if err := decodeJSON(sent.properties, n.properties(&element), "properties"); err != nil {
			return Response{}, err
		}
	}
	if err := n.mayLink(ctx, req, n.properties(&element)); err != nil {
		return Response{}, err
	}
	var v arm.Violations
	n.properties(&element).Default(nil)
	n.properties(&element).Validate(nil, &v)
	if err := v.Err(); err != nil {
		return Response{}, err
	}
	status := http.StatusOK
	r, m, err := n.change(ctx, req, func(_ deskyard.Tx, _ deskyard.Resource, list *[]E) error {
		status = http.StatusOK
		if i := n.index(*list, req.ID.Name()); i >= 0 {
			(*list)[i] = element
			return nil
		}
		status = http.StatusCreated
		*list = append(*list, element)
		return nil
	})
	if err != nil {
		return Response{}, err
	}
	i := n.index(*n.elements(m), req.ID.Name())
	parts, err := n.show(ctx, n.server.store, r.ID, (*n.elements(m))[i:i+1])
	if err != nil {
		return Response{}, err
	}
	return Response{Status: status, Body: parts[0], Header: http.Header{"Etag": {etag(r)}}}, nil
}

// mayLink asks for the rights that an element needs on what it refers to.
func (n *nested[P, E]) mayLink(ctx context.Context, req *Request, m Model) error {
	for _, ref := range m.Refs() {
		if action := linkedOf(ref); action != "" {
			if err := n.server.access.Allow(ctx, req.Principal, action, ref.Target); err != nil {
				return err
			}
		}
	}
	return nil
}

// delete takes an element out of its parent.
func (n *nested[P, E]) delete(ctx context.Context, req *Request) (Response, error) {
	gone := false
	_, _, err := n.change(ctx, req, func(tx deskyard.Tx, r deskyard.Resource, list *[]E) error {
		i := n.index(*list, req.ID.Name())
		if gone = i >= 0; !gone {
			return errGone
		}
		*list = slices.Delete(*list, i, i+1)
		words := strings.Split(n.path, "/")
		return n.remove(ctx, tx, r.ID.Child(words[1], req.ID.Name()))
	})
	if !gone && (err == errGone || arm.IsMissing(err)) {
		return Response{Status: http.StatusNoContent}, n.server.groupExists(ctx, n.server.store, req.ID)
	}
	return Response{}, err
}

// change rewrites the parent with another list of elements, by the parent's own rules.
func (n *nested[P, E]) change(ctx context.Context, req *Request, edit func(deskyard.Tx, deskyard.Resource, *[]E) error) (deskyard.Resource, *P, error) {
	var row deskyard.Resource
	var now *P
	err := req.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		r, old, err := n.parent(ctx, tx, req.ID.Parent())
		if arm.IsMissing(err) {
			return n.server.parentExists(ctx, tx, req.ID)
		}
		if err != nil {
			return err
		}
		if now, err = readModel[P](r); err != nil {
			return err
		}
		if err := edit(tx, r, n.elements(now)); err != nil {
			return err
		}
		w := &Write{Tx: tx, Now: storeTime(n.server.now()), Principal: req.Principal, Version: req.Version, Old: &r, New: &r}
		model, isModel := any(now).(Model)
		oldModel, _ := any(old).(Model)
		if !isModel {
			return fmt.Errorf("change %s: %T is no model", req.ID, now)
		}
		w.Model, w.OldModel = model, oldModel
		var v arm.Violations
		model.Validate(oldModel, &v)
		if err := v.Err(); err != nil {
			return err
		}
		if err := n.before(ctx, w); err != nil {
			return err
		}
		if err := rewrite(ctx, w, r, model); err != nil {
			return err
		}
		row, err = tx.Resource(ctx, r.ID)
		return err
	})
	if err == nil {
		n.changed(ctx, row.ID, now)
	}
	return row, now, err
}
