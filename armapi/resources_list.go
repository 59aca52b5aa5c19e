package armapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// resourceDoors list what a subscription or a group holds, whatever its type.
func (s *Server) resourceDoors() []Door {
	return []Door{
		{Method: http.MethodGet, Path: "/subscriptions/{subscription}/resources", Handle: s.listResources},
		{Method: http.MethodGet, Path: "/subscriptions/{subscription}/resourceGroups/{group}/resources", Handle: s.listResources},
	}
}

// genericResource is a resource as the lists over all types show it: without its
// properties.
type genericResource struct {
	ID                string            `json:"id"`
	Name              string            `json:"name"`
	Type              string            `json:"type"`
	Kind              string            `json:"kind,omitempty"`
	Location          string            `json:"location"`
	ManagedBy         string            `json:"managedBy,omitempty"`
	Identity          *arm.Identity     `json:"identity,omitempty"`
	Tags              map[string]string `json:"tags,omitempty"`
	CreatedTime       *arm.Time         `json:"createdTime,omitempty"`
	ChangedTime       *arm.Time         `json:"changedTime,omitempty"`
	ProvisioningState string            `json:"provisioningState,omitempty"`
}

func (s *Server) listResources(ctx context.Context, req *Request) (Response, error) {
	p, err := req.Paging()
	if err != nil {
		return Response{}, err
	}
	query, keep, err := resourcesQuery(req)
	if err != nil {
		return Response{}, err
	}
	seen, err := s.visible(ctx, req.Principal, req.ID, "Microsoft.Resources/subscriptions/resources/read", s.readPermission)
	if err != nil {
		return Response{}, err
	}
	if err := s.groupExists(ctx, s.store, req.ID); err != nil {
		return Response{}, seen.instead(err)
	}
	rows, next, err := s.collect(ctx, query, p, both(both(keep, s.inTable), seen.keep))
	if err != nil {
		return Response{}, err
	}
	if len(rows) == 0 && seen.refused != nil {
		return Response{}, seen.refused
	}
	expand := strings.ToLower(req.Query("$expand"))
	items := make([]any, len(rows))
	for i, r := range rows {
		items[i] = s.renderGeneric(r, expand)
	}
	return req.ListResponse(items, next), nil
}

// inTable passes over rows of a type that is not in the table.
func (s *Server) inTable(_ context.Context, r deskyard.Resource) (bool, error) {
	return s.rowOf(r.ID) != nil, nil
}

// readPermission is the RBAC action that reads a resource of any type.
func (s *Server) readPermission(id arm.ResourceID) string {
	if row := s.rowOf(id); row != nil {
		return row.permission("read")
	}
	return id.Type() + "/read"
}

// resourcesQuery reads $filter. What the store can find by an index goes into the
// query; the filter itself decides.
func resourcesQuery(req *Request) (deskyard.ResourceQuery, rowFilter, error) {
	query := deskyard.ResourceQuery{Scope: req.ID}
	text := req.Query("$filter")
	if strings.TrimSpace(text) == "" {
		return query, nil, nil
	}
	f, err := parseOData(text, "resourcetype", "resourcegroup", "name", "location", "tagname", "tagvalue", "identity/principalid")
	if err != nil {
		return query, nil, err
	}
	if t, ok := f.must("resourcetype", "eq"); ok {
		query.Type = t
	}
	if g, ok := f.must("resourcegroup", "eq"); ok && query.Scope.ResourceGroup == "" && !strings.ContainsRune(g, '/') {
		query.Scope.ResourceGroup = g
	}
	query.TagName, _ = f.must("tagname", "eq")
	return query, filterRows(f), nil
}

// filterRows holds stored resources against a $filter. tagValue speaks of the tag
// that tagName names, where one is named.
func filterRows(f *odataFilter) rowFilter {
	tagName, named := f.must("tagname", "eq")
	return func(_ context.Context, r deskyard.Resource) (bool, error) {
		return f.match(func(field string) []string {
			switch field {
			case "resourcetype":
				return []string{r.ID.Type()}
			case "resourcegroup":
				return []string{r.ID.ResourceGroup}
			case "name":
				return []string{r.ID.Name()}
			case "location":
				return []string{r.Envelope.Location}
			case "identity/principalid":
				if i := r.Envelope.Identity; i != nil && i.PrincipalID != nil {
					return []string{*i.PrincipalID}
				}
				return nil
			}
			var out []string
			for k, v := range r.Envelope.Tags {
				if field == "tagname" {
					out = append(out, k)
				} else if !named || strings.EqualFold(k, tagName) {
					out = append(out, v)
				}
			}
			return out
		}), nil
	}
}

func (s *Server) renderGeneric(r deskyard.Resource, expand string) genericResource {
	e := r.Envelope
	g := genericResource{
		ID: r.ID.String(), Name: r.ID.Name(), Type: r.ID.Type(), Kind: e.Kind,
		Location: e.Location, ManagedBy: e.ManagedBy, Identity: e.Identity, Tags: e.Tags,
	}
	if row := s.rowOf(r.ID); row != nil {
		g.ID, g.Name, g.Type = row.WireID(r.ID), row.WireName(r.ID), row.WireType()
	}
	if strings.Contains(expand, "createdtime") {
		g.CreatedTime = &arm.Time{Time: e.SystemData.CreatedAt}
	}
	if strings.Contains(expand, "changedtime") {
		g.ChangedTime = &arm.Time{Time: e.SystemData.LastModifiedAt}
	}
	if strings.Contains(expand, "provisioningstate") {
		g.ProvisioningState = "Succeeded"
	}
	return g
}
