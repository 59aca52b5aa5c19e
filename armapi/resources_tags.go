package armapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// tagsType is Microsoft.Resources/tags: the tags of any resource, group or
// subscription as a resource of its own, whose one name is "default".
func (s *Server) tagsType() ResourceType {
	const permission = "Microsoft.Resources/tags"
	// Who may read or write a resource may do so with its tags (Azure, "Use tags to
	// organize your resources", required access).
	as := func(verb string) func(arm.ResourceID) (string, arm.ResourceID) {
		return func(id arm.ResourceID) (string, arm.ResourceID) {
			holder := id.Parent()
			if row := s.rowOf(holder); row != nil {
				return row.permission(verb), holder
			}
			return "Microsoft.Resources/subscriptions/" + verb, holder
		}
	}
	return ResourceType{
		Namespace: resourcesNamespace, Path: "tags", Versions: resourcesVersions, AnyVersion: true, Level: Extension,
		Actions: []Action{
			{Method: http.MethodGet, Permission: permission + "/read", Instead: as("read"), Handle: s.getTags},
			{Method: http.MethodPut, Permission: permission + "/write", Instead: as("write"), Handle: s.putTags},
			{Method: http.MethodPatch, Permission: permission + "/write", Instead: as("write"), Handle: s.patchTags},
			{Method: http.MethodDelete, Permission: permission + "/delete", Instead: as("write"), Handle: s.deleteTags},
		},
	}
}

// tagsBody is the tags resource on the wire.
type tagsBody struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	Properties struct {
		Tags map[string]string `json:"tags"`
	} `json:"properties"`
}

func (s *Server) getTags(ctx context.Context, req *Request) (Response, error) {
	holder, err := s.tagged(ctx, s.store, req)
	if err != nil {
		return Response{}, err
	}
	return Response{Body: renderTags(req.ID, holder.tags)}, nil
}

func (s *Server) putTags(ctx context.Context, req *Request) (Response, error) {
	return s.changeTags(ctx, req, func(_, sent map[string]string) (map[string]string, error) { return sent, nil })
}

func (s *Server) patchTags(ctx context.Context, req *Request) (Response, error) {
	var sent struct {
		Operation string `json:"operation"`
	}
	if err := req.Decode(&sent); err != nil {
		return Response{}, err
	}
	change := map[string]func(old, sent map[string]string) (map[string]string, error){
		"merge":   mergeTags,
		"replace": func(_, sent map[string]string) (map[string]string, error) { return sent, nil },
		"delete":  withoutTags,
	}[strings.ToLower(sent.Operation)]
	if change == nil {
		return Response{}, arm.Errorf(arm.Invalid, "InvalidTagsPatchOperation",
			"The operation '%s' is invalid: it must be 'Merge', 'Replace' or 'Delete'.", clip(sent.Operation)).WithTarget("operation")
	}
	return s.changeTags(ctx, req, change)
}

func (s *Server) deleteTags(ctx context.Context, req *Request) (Response, error) {
	resp, err := s.changeTags(ctx, req, func(_, _ map[string]string) (map[string]string, error) { return nil, nil })
	resp.Body = nil
	return resp, err
}

// changeTags writes what change makes of the present and the sent tags.
func (s *Server) changeTags(ctx context.Context, req *Request, change func(old, sent map[string]string) (map[string]string, error)) (Response, error) {
	var body struct {
		Properties struct {
			Tags json.RawMessage `json:"tags"`
		} `json:"properties"`
	}
	if err := req.Decode(&body); err != nil {
		return Response{}, err
	}
	var sent map[string]string
	if len(body.Properties.Tags) > 0 {
		var err error
		if sent, err = parseTags(body.Properties.Tags, "properties.tags"); err != nil {
			return Response{}, err
		}
	}
	var after map[string]string
	err := req.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		holder, err := s.tagged(ctx, tx, req)
		if err != nil {
			return err
		}
		if after, err = change(holder.tags, sent); err != nil {
			return err
		}
		if err := checkTags(after); err != nil {
			return err
		}
		return s.retag(ctx, tx, req, holder, after)
	})
	if err != nil {
		return Response{}, err
	}
	return Response{Body: renderTags(req.ID, after)}, nil
}

func mergeTags(old, sent map[string]string) (map[string]string, error) {
	merged := map[string]string{}
	for k, v := range old {
		merged[k] = v
	}
	for k, v := range sent {
		for known := range merged {
			if strings.EqualFold(known, k) {
				delete(merged, known)
			}
		}
		merged[k] = v
	}
	return merged, nil
}

// withoutTags takes away the tags whose name and value were sent; a value "" stands
// for any.
func withoutTags(old, sent map[string]string) (map[string]string, error) {
	left := map[string]string{}
	for k, v := range old {
		left[k] = v
		for name, value := range sent {
			if strings.EqualFold(name, k) && (value == "" || strings.EqualFold(value, v)) {
				delete(left, k)
			}
		}
	}
	return left, nil
}

// tagHolder is what tags are on: a stored resource, or else a subscription.
type tagHolder struct {
	resource *deskyard.Resource
	tags     map[string]string
}

// tagged finds what a tags resource is about.
func (s *Server) tagged(ctx context.Context, reader deskyard.Reader, req *Request) (tagHolder, error) {
	if !strings.EqualFold(req.ID.Name(), "default") {
		return tagHolder{}, arm.Errorf(arm.Invalid, "InvalidTagsResourceName", "The name of a tags resource is 'default', not '%s'.", clip(req.ID.Name()))
	}
	scope := req.ID.Parent()
	switch {
	case scope.IsZero():
		return tagHolder{}, arm.Errorf(arm.Invalid, "InvalidScope", "The tenant has no tags.")
	case len(scope.Segments) == 0 && scope.ResourceGroup == "":
		tags, err := subscriptionTags(ctx, reader, scope)
		return tagHolder{tags: tags}, err
	}
	if row := s.rowOf(scope); row != nil && !row.Tracked {
		return tagHolder{}, arm.Errorf(arm.Invalid, "TagsNotSupported", "Resources of type '%s' have no tags.", row.WireType())
	}
	r, err := s.load(ctx, reader, scope)
	if err != nil {
		return tagHolder{}, err
	}
	return tagHolder{resource: &r, tags: r.Envelope.Tags}, nil
}

func (s *Server) retag(ctx context.Context, tx deskyard.Tx, req *Request, h tagHolder, tags map[string]string) error {
	if h.resource == nil {
		doc, err := json.Marshal(tags)
		if err != nil {
			return err
		}
		return tx.PutSetting(ctx, subscriptionTagsName(req.ID.Parent()), doc)
	}
	r := *h.resource
	r.Envelope.Tags = tags
	r.Envelope.SystemData = stamped(r.Envelope.SystemData, req.Principal, storeTime(s.now()))
	_, err := tx.PutResource(ctx, r)
	return err
}

func subscriptionTagsName(scope arm.ResourceID) string {
	return "tags." + strings.ToLower(scope.Subscription)
}

func subscriptionTags(ctx context.Context, reader deskyard.Reader, scope arm.ResourceID) (map[string]string, error) {
	doc, err := reader.Setting(ctx, subscriptionTagsName(scope))
	if arm.IsMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var tags map[string]string
	return tags, json.Unmarshal(doc, &tags)
}

func renderTags(id arm.ResourceID, tags map[string]string) tagsBody {
	b := tagsBody{ID: id.String(), Name: "default", Type: "Microsoft.Resources/tags"}
	b.Properties.Tags = tags
	if tags == nil {
		b.Properties.Tags = map[string]string{}
	}
	return b
}
