package armapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

func beforeSecurityGroup(_ context.Context, w *Write) error {
	g := w.Model.(*deskyard.SecurityGroup)
	if g.ResourceGUID == "" {
		g.ResourceGUID = newID()
	}
	return nil
}

// securityGroupChanged has the machines that a group filters for looked at: those
// whose interface names it, and those in a subnet that does.
func (s *Server) securityGroupChanged(ctx context.Context, w *Write) {
	if w.New != nil && w.Old != nil {
		s.wakeFiltered(ctx, w.New.ID)
	}
}

func (s *Server) wakeFiltered(ctx context.Context, group arm.ResourceID) {
	users, err := s.store.Referrers(ctx, deskyard.RelationSecurityGroup, group)
	if err != nil {
		s.log.Warn("machines not told of a change of their security rules; they see it at their next look", "error", err)
		return
	}
	var nics, subnets []arm.ResourceID
	for _, u := range users[group.Key()] {
		if !strings.EqualFold(u.Type(), deskyard.TypeVirtualNetwork) {
			nics = append(nics, u)
			continue
		}
		r, err := s.store.Resource(ctx, u)
		if err != nil {
			s.log.Warn("network not read", "network", u.String(), "error", err)
			continue
		}
		n, err := readModel[deskyard.VirtualNetwork](r)
		if err != nil {
			s.log.Warn("network not read", "network", u.String(), "error", err)
			continue
		}
		for _, sub := range n.Subnets {
			subnets = append(subnets, u.Child("subnets", sub.Name))
		}
	}
	s.wakeUsers(ctx, nics)
	s.wakeReferrers(ctx, deskyard.RelationSubnet, subnets...)
}

// securityGroupShown is a network security group's properties on the wire.
type securityGroupShown struct {
	*deskyard.SecurityGroup
	Rules      []part                 `json:"securityRules"`
	Defaults   []part                 `json:"defaultSecurityRules"`
	Interfaces []deskyard.SubResource `json:"networkInterfaces,omitempty"`
	Subnets    []deskyard.SubResource `json:"subnets,omitempty"`
}

func (s *Server) renderSecurityGroups(ctx context.Context, v View, rows []deskyard.Resource) ([]any, error) {
	users, err := v.Reader.Referrers(ctx, deskyard.RelationSecurityGroup, idsOf(rows)...)
	if err != nil {
		return nil, err
	}
	return renderEachErr(rows, func(r deskyard.Resource, g *deskyard.SecurityGroup) (any, error) {
		shown := securityGroupShown{SecurityGroup: g, Rules: s.showRules(r.ID, "securityRules", g.Rules),
			Defaults: s.showRules(r.ID, "defaultSecurityRules", deskyard.DefaultSecurityRules())}
		for _, u := range users[r.ID.Key()] {
			if !strings.EqualFold(u.Type(), deskyard.TypeVirtualNetwork) {
				shown.Interfaces = append(shown.Interfaces, deskyard.SubResource{ID: s.wireIDOf(u)})
				continue
			}
			filtered, err := s.subnetsFilteredBy(ctx, v.Reader, u, r.ID)
			if err != nil {
				return nil, err
			}
			shown.Subnets = append(shown.Subnets, filtered...)
		}
		return s.rowOf(r.ID).RenderBody(r, shown), nil
	})
}

// subnetsFilteredBy are a network's subnets that name the group.
func (s *Server) subnetsFilteredBy(ctx context.Context, reader deskyard.Reader, network, group arm.ResourceID) ([]deskyard.SubResource, error) {
	r, err := reader.Resource(ctx, network)
	if err != nil {
		return nil, err
	}
	n, err := readModel[deskyard.VirtualNetwork](r)
	if err != nil {
		return nil, err
	}
	var out []deskyard.SubResource
	for _, sub := range n.Subnets {
		if sub.Properties.SecurityGroup == nil {
			continue
		}
		if id, err := arm.ParseID(sub.Properties.SecurityGroup.ID); err == nil && id.Equal(group) {
			out = append(out, deskyard.SubResource{ID: s.wireIDOf(network.Child("subnets", sub.Name))})
		}
	}
	return out, nil
}

func (s *Server) showRules(group arm.ResourceID, collection string, rules []deskyard.NamedRule) []part {
	out := make([]part, len(rules))
	for i, rule := range rules {
		out[i] = part{Name: rule.Name, ID: s.wireIDOf(group) + "/" + collection + "/" + rule.Name,
			Type: deskyard.TypeSecurityGroup + "/" + collection, Properties: rule.Properties}
	}
	return out
}

// defaultRulesType are the rules that every group ends with, to be read.
func defaultRulesType(s *Server) ResourceType {
	const at = networkNamespace + "/networkSecurityGroups/defaultSecurityRules"
	read := func(ctx context.Context, req *Request, group arm.ResourceID) ([]part, error) {
		_, err := s.load(ctx, s.store, group)
		return s.showRules(group, "defaultSecurityRules", deskyard.DefaultSecurityRules()), err
	}
	return ResourceType{Path: "networkSecurityGroups/defaultSecurityRules", Actions: []Action{
		{Method: http.MethodGet, Collection: true, Permission: at + "/read", Handle: func(ctx context.Context, req *Request) (Response, error) {
			parts, err := read(ctx, req, req.ID)
			if err != nil {
				return Response{}, err
			}
			return req.ListResponse(anys(parts), ""), nil
		}},
		{Method: http.MethodGet, Permission: at + "/read", Handle: func(ctx context.Context, req *Request) (Response, error) {
			parts, err := read(ctx, req, req.ID.Parent())
			if err != nil {
				return Response{}, err
			}
			i := slices.IndexFunc(parts, func(p part) bool { return strings.EqualFold(p.Name, req.ID.Name()) })
			if i < 0 {
				return Response{}, arm.NotFound(req.ID)
			}
			return Response{Body: parts[i]}, nil
		}},
	}}
}

func anys[T any](list []T) []any {
	out := make([]any, len(list))
	for i, e := range list {
		out[i] = e
	}
	return out
}
