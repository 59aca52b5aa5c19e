package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// The api-versions that the command line speaks.
const (
	desktopVersion       = "2025-10-10"
	resourcesVersion     = "2021-04-01"
	subscriptionsVersion = "2022-12-01"
	authorizationVersion = "2022-04-01"
	activityVersion      = "2015-04-01"
)

const desktopProvider = "/providers/Microsoft.DesktopVirtualization/"

// kind is a resource type as commands handle it.
type kind struct {
	collection string // below the provider or the parent: "hostPools"
	version    string
	columns    []column
}

// inGroup are the arguments that name one or several resources in a group.
type inGroup struct {
	Name          string `short:"n" aliases:"host-pool-name,workspace-name,application-group-name,scaling-plan-name" placeholder:"NAME" help:"Name of the resource." group:"Resource"`
	ResourceGroup string `short:"g" env:"DESKYARD_GROUP" placeholder:"GROUP" help:"Resource group." group:"Resource"`
	IDs           words  `name:"ids" placeholder:"ID" help:"One or more resource ids, instead of name and group." group:"Resource"`
}

// paths are the ids of the resources meant.
func (t *inGroup) paths(ctx context.Context, s *session, k kind) ([]string, error) {
	if len(t.IDs) > 0 {
		return checkIDs(t.IDs)
	}
	if t.Name == "" || t.ResourceGroup == "" {
		return nil, usagef("give --name and --resource-group, or --ids")
	}
	group, err := s.group(ctx, t.ResourceGroup)
	if err != nil {
		return nil, err
	}
	return []string{group + desktopProvider + k.collection + "/" + segment(t.Name)}, nil
}

// path is the id of the one resource that a command makes or changes.
func (t *inGroup) path(ctx context.Context, s *session, k kind) (string, error) {
	all, err := t.paths(ctx, s, k)
	if err != nil {
		return "", err
	}
	if len(all) != 1 {
		return "", usagef("this command takes one resource")
	}
	return all[0], nil
}

func checkIDs(ids []string) ([]string, error) {
	for _, id := range ids {
		if !strings.HasPrefix(id, "/subscriptions/") {
			return nil, usagef("--ids %s is not a resource id", id)
		}
	}
	return ids, nil
}

// group is the id of a resource group.
func (s *session) group(ctx context.Context, name string) (string, error) {
	sub, err := s.subscriptionID(ctx)
	if err != nil {
		return "", err
	}
	return "/subscriptions/" + sub + "/resourceGroups/" + segment(name), nil
}

// segment is a name in a path. A composite name ("pool/host", as answers have it)
// counts by its last part.
func segment(name string) string {
	return url.PathEscape(name[strings.LastIndexByte(name, '/')+1:])
}

// each does the same to every resource and prints the answers: one as an object,
// several as a list.
func (s *session) each(ctx context.Context, paths []string, columns []column, f func(path string) (response, error)) error {
	var answers []any
	for _, p := range paths {
		resp, err := f(p)
		if err != nil {
			return err
		}
		if resp.body != nil {
			answers = append(answers, resp.body)
		}
	}
	switch len(answers) {
	case 0:
		return nil
	case 1:
		return s.show(answers[0], columns)
	}
	return s.show(answers, columns)
}

// get, put, patch, post and remove are the verbs on resources.
func (s *session) get(ctx context.Context, path string, k kind) (response, error) {
	return s.do(ctx, request{method: http.MethodGet, path: path, version: k.version})
}

func (s *session) put(ctx context.Context, path string, k kind, body any) (response, error) {
	return s.do(ctx, request{method: http.MethodPut, path: path, version: k.version, body: body})
}

func (s *session) patch(ctx context.Context, path string, k kind, body any, query url.Values) (response, error) {
	return s.do(ctx, request{method: http.MethodPatch, path: path, version: k.version, body: body, query: query})
}

func (s *session) post(ctx context.Context, path string, k kind, body any) (response, error) {
	return s.do(ctx, request{method: http.MethodPost, path: path, version: k.version, body: body})
}

func (s *session) remove(ctx context.Context, path string, k kind, query url.Values) (response, error) {
	return s.do(ctx, request{method: http.MethodDelete, path: path, version: k.version, query: query})
}

// update changes a resource with PATCH: what flags said, and what the generic
// update arguments make of the resource as it is.
func (s *session) update(ctx context.Context, path string, k kind, patch map[string]any, g *genericUpdate, query url.Values) (response, error) {
	if !g.empty() {
		resp, err := s.get(ctx, path, k)
		if err != nil {
			return resp, err
		}
		before, ok := resp.body.(map[string]any)
		if !ok {
			return resp, fmt.Errorf("read %s: the answer is no object", path)
		}
		after := clone(before).(map[string]any)
		if err := g.apply(after); err != nil {
			return resp, err
		}
		wanted := mergePatch(before, after)
		if tags, changed := wanted["tags"]; changed && tags != nil {
			wanted["tags"] = after["tags"] // a PATCH replaces the whole map of tags
			dropNulls(wanted["tags"])
		}
		overlay(wanted, patch)
		patch = wanted
	}
	if len(patch) == 0 {
		return response{}, usagef("nothing to change: give at least one property")
	}
	return s.patch(ctx, path, k, patch, query)
}

// overlay writes b's members over a's, object by object.
func overlay(a, b map[string]any) {
	for k, v := range b {
		under, ok1 := a[k].(map[string]any)
		over, ok2 := v.(map[string]any)
		if ok1 && ok2 && k != "tags" {
			overlay(under, over)
			continue
		}
		a[k] = v
	}
}

func dropNulls(v any) {
	object, ok := v.(map[string]any)
	if !ok {
		return
	}
	for k, e := range object {
		if e == nil {
			delete(object, k)
		}
	}
}

// locationOf is the location for a new resource: the one given, or its group's.
func (s *session) locationOf(ctx context.Context, given, path string) (string, error) {
	if given != "" {
		return given, nil
	}
	at := strings.Index(path, "/providers/")
	if at < 0 {
		return "", usagef("give --location")
	}
	resp, err := s.do(ctx, request{method: http.MethodGet, path: path[:at], version: resourcesVersion})
	if err != nil {
		return "", err
	}
	location, _ := getPath(resp.body, []string{"location"})
	return fmt.Sprint(location), nil
}

// envelopeBody is a resource's body with its tags.
func envelopeBody(properties map[string]any, tags words) (map[string]any, error) {
	body := map[string]any{}
	if len(properties) > 0 {
		body["properties"] = properties
	}
	if tags != nil {
		t, err := parseTags(tags)
		if err != nil {
			return nil, usagef("--tags: %v", err)
		}
		body["tags"] = t
	}
	return body, nil
}

func isGUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }

func forceQuery(force bool) url.Values {
	if !force {
		return nil
	}
	return url.Values{"force": {"true"}}
}
