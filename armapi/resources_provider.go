package armapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// Who is authenticated may read what providers there are: it is the same for
// everyone, and clients ask before they know where they have a role.
func (s *Server) providerDoors() []Door {
	const sub = "/subscriptions/{subscription}"
	return []Door{
		{Method: http.MethodGet, Path: "/providers", Handle: s.listProviders},
		{Method: http.MethodGet, Path: "/providers/{namespace}", Handle: s.getProvider},
		{Method: http.MethodGet, Path: sub + "/providers", Handle: s.listProviders},
		{Method: http.MethodGet, Path: sub + "/providers/{namespace}", Handle: s.getProvider},
		{Method: http.MethodGet, Path: sub + "/providers/{namespace}/resourceTypes", Handle: s.listProviderTypes},
		{Method: http.MethodPost, Path: sub + "/providers/{namespace}/register", Permission: "Microsoft.Resources/subscriptions/providers/register/action", Handle: s.getProvider},
		{Method: http.MethodPost, Path: sub + "/providers/{namespace}/unregister", Permission: "Microsoft.Resources/subscriptions/providers/unregister/action", Handle: s.refuseUnregister},
		{Method: http.MethodGet, Path: "/providers/Microsoft.Resources/operations", Handle: s.listResourcesOperations},
	}
}

// providerBody is a resource provider on the wire.
type providerBody struct {
	ID                 string         `json:"id"`
	Namespace          string         `json:"namespace"`
	RegistrationPolicy string         `json:"registrationPolicy"`
	RegistrationState  string         `json:"registrationState"`
	ResourceTypes      []providerType `json:"resourceTypes"`
}

type providerType struct {
	ResourceType      string   `json:"resourceType"`
	Locations         []string `json:"locations"`
	APIVersions       []string `json:"apiVersions"` // newest first, as az expects
	DefaultAPIVersion string   `json:"defaultApiVersion,omitempty"`
	Capabilities      string   `json:"capabilities"`
}

func (s *Server) listProviders(_ context.Context, req *Request) (Response, error) {
	items := []any{}
	for _, ns := range s.namespaces() {
		items = append(items, s.renderProvider(req.ID, ns))
	}
	return req.ListResponse(items, ""), nil
}

func (s *Server) getProvider(_ context.Context, req *Request) (Response, error) {
	ns, err := s.namespace(req)
	if err != nil {
		return Response{}, err
	}
	return Response{Body: s.renderProvider(req.ID, ns)}, nil
}

func (s *Server) listProviderTypes(_ context.Context, req *Request) (Response, error) {
	ns, err := s.namespace(req)
	if err != nil {
		return Response{}, err
	}
	items := []any{}
	for _, t := range s.providerTypes(ns) {
		items = append(items, t)
	}
	return req.ListResponse(items, ""), nil
}

func (s *Server) namespace(req *Request) (string, error) {
	ns, ok := s.routes.namespaces[strings.ToLower(req.Vars["namespace"])]
	if !ok {
		return "", arm.Errorf(arm.Missing, "InvalidResourceNamespace", "The resource namespace '%s' is invalid.", clip(req.Vars["namespace"]))
	}
	return ns, nil
}

// refuseUnregister says that a provider is part of the service.
func (s *Server) refuseUnregister(_ context.Context, req *Request) (Response, error) {
	ns, err := s.namespace(req)
	if err != nil {
		return Response{}, err
	}
	return Response{}, arm.Errorf(arm.Conflicting, "CannotUnregisterNamespace",
		"The namespace '%s' is part of this service and is always registered. Delete its resources to be rid of them.", ns)
}

// namespaces are the table's, in alphabetical order.
func (s *Server) namespaces() []string {
	var all []string
	for _, ns := range s.routes.namespaces {
		all = append(all, ns)
	}
	slices.Sort(all)
	return all
}

func (s *Server) renderProvider(scope arm.ResourceID, namespace string) providerBody {
	prefix := ""
	if !scope.IsZero() {
		prefix = scope.String()
	}
	return providerBody{
		ID: prefix + "/providers/" + namespace, Namespace: namespace,
		RegistrationPolicy: "RegistrationFree", RegistrationState: "Registered", ResourceTypes: s.providerTypes(namespace),
	}
}

func (s *Server) providerTypes(namespace string) []providerType {
	locations := make([]string, len(s.locations))
	for i, l := range s.locations {
		locations[i] = l.Display
	}
	types := []providerType{}
	for _, row := range s.routes.rows {
		if row.Namespace != namespace {
			continue
		}
		versions := slices.Clone(row.Versions)
		slices.Reverse(versions)
		t := providerType{ResourceType: row.Wire, Locations: locations, APIVersions: versions, Capabilities: "None"}
		if row.Tracked {
			t.Capabilities = "SupportsTags, SupportsLocation"
		}
		if row.Level != InGroup {
			t.Locations = []string{}
		}
		t.DefaultAPIVersion = row.stableVersion()
		types = append(types, t)
	}
	return types
}

// stableVersion is the newest api-version that is no preview; "" when all are.
func (row *ResourceType) stableVersion() string {
	for _, v := range slices.Backward(row.Versions) {
		if !strings.Contains(v, "-preview") {
			return v
		}
	}
	return ""
}

// listResourcesOperations lists the RBAC actions of Microsoft.Resources.
func (s *Server) listResourcesOperations(_ context.Context, req *Request) (Response, error) {
	items := []any{}
	for _, o := range []struct{ resource, verb, text string }{
		{"subscriptions", "read", "Get the list of subscriptions."},
		{"subscriptions/resources", "read", "Get the resources of a subscription."},
		{"subscriptions/resourceGroups", "read", "Get or list resource groups."},
		{"subscriptions/resourceGroups", "write", "Create or update a resource group."},
		{"subscriptions/resourceGroups", "delete", "Delete a resource group and all its resources."},
		{"tags", "read", "Get the tags of a resource."},
		{"tags", "write", "Change the tags of a resource."},
		{"tags", "delete", "Remove the tags of a resource."},
	} {
		items = append(items, map[string]any{
			"name": resourcesNamespace + "/" + o.resource + "/" + o.verb, "isDataAction": false,
			"display": map[string]string{
				"provider": "Microsoft Resources", "resource": o.resource, "operation": o.verb, "description": o.text,
			},
		})
	}
	return req.ListResponse(items, ""), nil
}
