package armapi

import (
	"context"
	"sort"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// providerOperations is what a provider's types let be done, for whoever writes a
// custom role.
type providerOperations struct {
	ID            string                   `json:"id"`
	Name          string                   `json:"name"`
	Type          string                   `json:"type"`
	DisplayName   string                   `json:"displayName"`
	ResourceTypes []providerTypeOperations `json:"resourceTypes"`
	Operations    []providerOperation      `json:"operations"`
}

type providerTypeOperations struct {
	Name        string              `json:"name"`
	DisplayName string              `json:"displayName"`
	Operations  []providerOperation `json:"operations"`
}

type providerOperation struct {
	Name         string `json:"name"`
	DisplayName  string `json:"displayName"`
	Description  string `json:"description"`
	IsDataAction bool   `json:"isDataAction"`
}

func (z *authorization) listProviderOperations(_ context.Context, req *Request) (Response, error) {
	byNamespace := operationsByNamespace(z.types())
	list := wholeList[providerOperations]{Value: []providerOperations{}}
	for _, p := range byNamespace {
		list.Value = append(list.Value, expanded(p, req))
	}
	sort.Slice(list.Value, func(i, j int) bool { return list.Value[i].Name < list.Value[j].Name })
	return Response{Body: list}, nil
}

func (z *authorization) getProviderOperations(_ context.Context, req *Request) (Response, error) {
	p, ok := operationsByNamespace(z.types())[strings.ToLower(req.Vars["namespace"])]
	if !ok {
		return Response{}, arm.Errorf(arm.Missing, "ProviderNotFound", "Provider '%s' not found.", clip(req.Vars["namespace"]))
	}
	return Response{Body: expanded(p, req)}, nil
}

// expanded leaves out the types unless the client asked for them, as Azure does.
func expanded(p providerOperations, req *Request) providerOperations {
	if !strings.EqualFold(req.Query("$expand"), "resourceTypes") {
		p.ResourceTypes = []providerTypeOperations{}
	}
	return p
}

func operationsByNamespace(types []ResourceType) map[string]providerOperations {
	found := map[string]providerOperations{}
	for i := range types {
		t := &types[i]
		key := strings.ToLower(t.Namespace)
		p, ok := found[key]
		if !ok {
			p = providerOperations{
				ID: "/providers/Microsoft.Authorization/providerOperations/" + t.Namespace, Name: t.Namespace,
				Type: "Microsoft.Authorization/providerOperations", DisplayName: t.Namespace, Operations: []providerOperation{},
			}
		}
		p.ResourceTypes = append(p.ResourceTypes, providerTypeOperations{Name: t.Path, DisplayName: t.Path, Operations: typeOperations(t)})
		found[key] = p
	}
	return found
}

func typeOperations(t *ResourceType) []providerOperation {
	base := t.Permission
	if base == "" {
		base = t.Namespace + "/" + t.Path
	}
	names := map[string]bool{}
	if v := t.Verbs; v.Get || v.List || v.ListBySubscription {
		names[base+"/read"] = true
	}
	if v := t.Verbs; v.Put || v.Patch {
		names[base+"/write"] = true
	}
	if t.Verbs.Delete {
		names[base+"/delete"] = true
	}
	for _, a := range t.Actions {
		if a.Permission != "" {
			names[a.Permission] = true
		}
	}
	operations := make([]providerOperation, 0, len(names))
	for name := range names {
		verb := name[strings.LastIndexByte(name, '/')+1:]
		operations = append(operations, providerOperation{Name: name, DisplayName: verb + " " + t.Path, Description: verb + " " + t.Path})
	}
	sort.Slice(operations, func(i, j int) bool { return operations[i].Name < operations[j].Name })
	return operations
}
