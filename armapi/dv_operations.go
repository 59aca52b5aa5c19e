package armapi

import (
	"context"
	"sort"
	"strings"
)

// listedOperation is one entry of the provider's list of operations: an action
// that a role can grant.
type listedOperation struct {
	Name         string           `json:"name"`
	IsDataAction bool             `json:"isDataAction"`
	Display      operationDisplay `json:"display"`
}

type operationDisplay struct {
	Provider    string `json:"provider"`
	Resource    string `json:"resource"`
	Operation   string `json:"operation"`
	Description string `json:"description"`
}

// listDesktopOperations lists every action that the table knows, so that the list
// cannot fall behind it.
func (s *Server) listDesktopOperations(context.Context, *Request) (Response, error) {
	named := map[string]listedOperation{}
	add := func(name, resource, verb string, data bool) {
		named[strings.ToLower(name)] = listedOperation{Name: name, IsDataAction: data, Display: operationDisplay{
			Provider: desktopNamespace, Resource: resource, Operation: verb + " " + resource,
			Description: verb + " " + resource + ".",
		}}
	}
	for _, row := range s.routes.rows {
		if row.Namespace != desktopNamespace {
			continue
		}
		base, v := desktopAction(row.Path), row.Verbs
		for _, verb := range []struct {
			has          bool
			action, word string
		}{{v.Get || v.List, "read", "Read"}, {v.Put || v.Patch, "write", "Write"}, {v.Delete, "delete", "Delete"}} {
			if verb.has {
				add(base+"/"+verb.action, row.Path, verb.word, false)
			}
		}
		for _, a := range row.Actions {
			resource, verb := operationOf(a.Permission)
			add(a.Permission, resource, verb, false)
		}
	}
	add(desktopAction("applicationGroups/useApplications/action"), "applicationGroups", "Use applications of", true)
	list := make([]any, 0, len(named))
	for _, name := range sortedKeys(named) {
		list = append(list, named[name])
	}
	return Response{Body: listBody{Value: list}}, nil
}

// operationOf splits "NAMESPACE/hostPools/retrieveRegistrationToken/action" into the
// resource and what is done to it.
func operationOf(permission string) (resource, verb string) {
	parts := strings.Split(strings.TrimPrefix(permission, desktopNamespace+"/"), "/")
	last := len(parts) - 1
	if parts[last] == "action" && last > 0 {
		return strings.Join(parts[:last-1], "/"), parts[last-1]
	}
	word := parts[last]
	return strings.Join(parts[:last], "/"), strings.ToUpper(word[:1]) + word[1:]
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
