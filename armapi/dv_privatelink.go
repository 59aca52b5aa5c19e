package armapi

import (
	"context"

	"github.com/deskyard/deskyard"
)

const privateEndpointConnections = "privateEndpointConnections"

// privateEndpointType are the private endpoint connections of host pools or workspaces.
func (s *Server) privateEndpointType(parent string) ResourceType {
	wire := map[string]string{"hostPools": "hostpools", "workspaces": "workspaces"}[parent]
	path := parent + "/" + privateEndpointConnections
	return ResourceType{
		Path: path, Wire: wire + "/" + privateEndpointConnections, Versions: since("2021-04-01-preview"),
		Name:  NameRule{Min: 1, Max: 160, Pattern: desktopName},
		Verbs: Verbs{Get: true, Put: true, Delete: true, List: true, Paged: true}, PutNew: 200,
		New: func() Model { return new(deskyard.PrivateEndpointConnection) },
		Render: func(_ context.Context, _ View, rows []deskyard.Resource) ([]any, error) {
			return s.renderPrivateEndpoints(path, rows)
		},
	}
}

// privateEndpointProperties is a connection's properties on the wire.
type privateEndpointProperties struct {
	*deskyard.PrivateEndpointConnection
	ProvisioningState string `json:"provisioningState"`
}

func (s *Server) renderPrivateEndpoints(path string, rows []deskyard.Resource) ([]any, error) {
	row := s.desktopRow(path)
	return renderEach(rows, func(r deskyard.Resource, c *deskyard.PrivateEndpointConnection) any {
		return row.RenderBody(r, privateEndpointProperties{c, "Succeeded"})
	})
}

// privateConnections are the connections of each resource of a page. Answers to
// writes have null in their place, as recorded: then the map is empty.
func (s *Server) privateConnections(ctx context.Context, v View, rows []deskyard.Resource, parent string) (map[string][]any, error) {
	out := map[string][]any{}
	if v.Written {
		return out, nil
	}
	path := parent + "/" + privateEndpointConnections
	children, err := childrenOf(ctx, v.Reader, rows, desktopNamespace+"/"+path)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		key := r.ID.Key()
		if out[key], err = s.renderPrivateEndpoints(path, children[key]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// linkGroup is a part of a resource that a private endpoint can lead to.
type linkGroup struct {
	name    string
	members []string
}

var poolLinkGroups = []linkGroup{{"connection", []string{"rdbroker", "rddiagnostics", "rdweb", "rdgateway"}}}

var workspaceLinkGroups = []linkGroup{{"feed", []string{"rdbroker", "rddiagnostics", "rdweb", "rdgateway"}}, {"global", []string{"rdweb"}}}

// listPrivateLinkResources lists the parts of a host pool or workspace that private
// endpoints can lead to.
func (s *Server) listPrivateLinkResources(ctx context.Context, q *Request) (Response, error) {
	if _, err := q.Paging(); err != nil {
		return Response{}, err
	}
	if _, err := q.Load(ctx, s.store); err != nil {
		return Response{}, err
	}
	groups := poolLinkGroups
	if q.Type.Path == "workspaces" {
		groups = workspaceLinkGroups
	}
	items := make([]any, len(groups))
	for i, g := range groups {
		items[i] = Body{
			Name: g.name, ID: q.Type.WireID(q.ID) + "/privateLinkResources/" + g.name, Type: q.Type.WireType() + "/privateLinkResources",
			Properties: struct {
				GroupID  string   `json:"groupId"`
				Members  []string `json:"requiredMembers"`
				ZoneName []string `json:"requiredZoneNames"`
			}{g.name, g.members, []string{"privatelink.wvd.microsoft.com"}},
		}
	}
	return q.ListResponse(items, ""), nil
}
