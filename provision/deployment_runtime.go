package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/template"
)

// callerAPI answers reference() and the list…() functions through the API, with the
// rights of whoever deploys.
type callerAPI struct {
	s           *Service
	caller      deskyard.Principal
	correlation string
}

// Reference reads a resource: its properties, or all of it.
func (rt *callerAPI) Reference(ctx context.Context, id arm.ResourceID, version string, full bool) (template.Value, error) {
	id = groupID(id)
	version, err := rt.version(id, version)
	if err != nil {
		return template.Value{}, err
	}
	reply, err := rt.s.o.Resources.Do(ctx, Call{Principal: rt.caller, Method: "GET", ID: id, Version: version, Correlation: rt.correlation})
	if err != nil {
		return template.Value{}, err
	}
	v, err := template.ReadJSON(reply.Body)
	if err != nil {
		return v, fmt.Errorf("read %s: %w", id, err)
	}
	v = markTokens(v)
	if !full {
		v = v.Member("properties")
	}
	return v, nil
}

// List calls a list… action of a resource; all it answers is taken for secret.
func (rt *callerAPI) List(ctx context.Context, id arm.ResourceID, function, version string, body template.Value) (template.Value, error) {
	version, err := rt.version(id, version)
	if err != nil {
		return template.Value{}, err
	}
	c := Call{Principal: rt.caller, Method: "POST", ID: id, Action: function, Version: version, Correlation: rt.correlation}
	if !body.IsNull() {
		c.Body = body.Reveal()
	}
	reply, err := rt.s.o.Resources.Do(ctx, c)
	if err != nil {
		return template.Value{}, err
	}
	v, err := template.ReadJSON(reply.Body)
	if err != nil {
		return v, fmt.Errorf("read %s of %s: %w", function, id, err)
	}
	return v.AsSecure(), nil
}

// version is the api-version asked for, or the newest of the type that is no preview.
func (rt *callerAPI) version(id arm.ResourceID, asked string) (string, error) {
	if asked != "" {
		return asked, nil
	}
	return rt.s.newestVersion(id.Type())
}

func (s *Service) newestVersion(typ string) (string, error) {
	versions, known := s.o.Resources.Knows(typ)
	if !known || len(versions) == 0 {
		return "", arm.Errorf(arm.Missing, "InvalidResourceType", "The resource type '%s' could not be found.", typ)
	}
	for _, v := range slices.Backward(versions) {
		if !strings.Contains(v, "-preview") {
			return v, nil
		}
	}
	return versions[len(versions)-1], nil
}

// markTokens marks the registration key that a host pool's older versions answer as
// the secret it is.
func markTokens(v template.Value) template.Value {
	properties, ok := v.Get("properties")
	if !ok {
		return v
	}
	info, ok := properties.Get("registrationInfo")
	if !ok || info.Member("token").IsNull() {
		return v
	}
	return with(v, "properties", with(properties, "registrationInfo", with(info, "token", info.Member("token").AsSecure())))
}

// with is an object with one member replaced.
func with(v template.Value, name string, member template.Value) template.Value {
	o := template.NewObject()
	for _, m := range v.Object().Members() {
		o.Set(m.Name, m.Value)
	}
	o.Set(name, member)
	return template.Of(o)
}

// templateRefusal makes of a template's fault what the API answers: the place, and
// what reference() was refused with as a detail. Other errors stay as they are.
func templateRefusal(err error) error {
	var fault *template.Error
	if errors.As(err, &fault) {
		return fault.ARM()
	}
	var refused *arm.Error
	if errors.As(err, &refused) {
		return refused
	}
	return err
}

// armError is err as a part of an answer; ok is false for a fault of the service.
func armError(err error) (*arm.Error, bool) {
	var e *arm.Error
	ok := errors.As(templateRefusal(err), &e)
	return e, ok
}

// violation says where in a template a resource stands.
func violation(path string, line int, id arm.ResourceID) arm.Additional {
	return arm.Additional{Type: "TemplateViolation", Info: map[string]any{"path": path, "lineNumber": line, "resourceName": strings.Join(id.Names(), "/"), "resourceId": id.String()}}
}
