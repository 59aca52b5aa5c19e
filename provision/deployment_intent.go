package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/template"
)

// maxNesting bounds deployments in deployments: a linked template may link itself.
const maxNesting = 8

// intent is a deployment as it was asked for, by a client or by another deployment,
// before its template has been read.
type intent struct {
	id       arm.ResourceID
	st       deploymentState
	sealed   sealedState
	template template.Value // null where it is linked
	params   template.Value // what was given for the parameters
	params2  template.Value // what the file of parametersLink says; params wins
	bound    template.Value // of a run that goes on: parameters as they were bound
	nested   *template.Nested
}

// readIntent reads a client's request.
func (s *Service) readIntent(ctx context.Context, req DeploymentRequest) (*intent, error) {
	in, err := parseIntent(req.ID, req.Body)
	if err != nil {
		return nil, err
	}
	in.st.Caller = req.Caller
	in.st.Correlation = newCorrelation(req.Correlation)
	in.st.Run = uuid.NewString()
	in.st.Began = s.now().UTC()
	in.st.Scope = s.scopeFacts(ctx, in, req.Environment)
	in.sealed.Source = req.Body
	return in, s.follow(ctx, in, nil)
}

// parseIntent reads a deployment's body.
func parseIntent(id arm.ResourceID, body []byte) (*intent, error) {
	read, err := template.ReadDeployment(body)
	if err != nil {
		return nil, templateRefusal(err)
	}
	tree := read.Body
	props := tree.Member("properties")
	in := &intent{id: id, template: read.Template, params: read.Parameters}
	st := &in.st
	st.Location = canonicalPlace(tree.Str("location"))
	if st.Mode, err = deploymentMode(props.Str("mode")); err != nil {
		return nil, err
	}
	st.Debug = props.Member("debugSetting").Str("detailLevel")
	if st.Tags, err = readTags(tree.Member("tags")); err != nil {
		return nil, err
	}
	if st.Link, err = readLink(props.Member("templateLink"), "templateLink"); err != nil {
		return nil, err
	}
	if st.ParamsLink, err = readLink(props.Member("parametersLink"), "parametersLink"); err != nil {
		return nil, err
	}
	if st.OnError, err = readOnError(props.Member("onErrorDeployment")); err != nil {
		return nil, err
	}
	return in, in.complete()
}

// complete refuses an intent without a template, and with two.
func (in *intent) complete() error {
	if in.template.IsNull() == (in.st.Link == nil) {
		return arm.Errorf(arm.Invalid, "InvalidRequestContent",
			"The request content was invalid: a deployment has exactly one of 'properties.template' and 'properties.templateLink'.").WithTarget("properties.template")
	}
	if in.st.ParamsLink != nil && in.params.Len() > 0 {
		return arm.Errorf(arm.Invalid, "InvalidRequestContent",
			"The request content was invalid: a deployment has at most one of 'properties.parameters' and 'properties.parametersLink'.").WithTarget("properties.parameters")
	}
	return nil
}

func deploymentMode(sent string) (string, error) {
	switch {
	case sent == "", strings.EqualFold(sent, modeIncremental):
		return modeIncremental, nil
	case strings.EqualFold(sent, modeComplete):
		return modeComplete, nil
	}
	return "", arm.Errorf(arm.Invalid, "InvalidDeploymentMode",
		"The deployment mode '%s' is invalid. It is 'Incremental' or 'Complete'.", sent).WithTarget("properties.mode")
}

// canonicalPlace spells a location as the API stores it.
func canonicalPlace(l string) string { return strings.ToLower(strings.ReplaceAll(l, " ", "")) }

func readTags(v template.Value) (map[string]string, error) {
	if v.IsNull() {
		return nil, nil
	}
	tags := map[string]string{}
	for _, m := range v.Object().Members() {
		text, ok := m.Value.Text()
		if !ok && !m.Value.IsNull() {
			return nil, arm.Errorf(arm.Invalid, "InvalidRequestContent", "The tag '%s' is not a string.", m.Name).WithTarget("tags")
		}
		tags[m.Name] = text
	}
	return tags, nil
}

// readLink reads a templateLink or a parametersLink; nil for none.
func readLink(v template.Value, member string) (*TemplateLink, error) {
	if v.IsNull() {
		return nil, nil
	}
	l := &TemplateLink{URI: v.Str("uri"), ID: v.Str("id"), RelativePath: v.Str("relativePath"),
		ContentVersion: v.Str("contentVersion"), query: v.Str("queryString")}
	if l.URI == "" && l.ID == "" && l.RelativePath == "" {
		return nil, arm.Errorf(arm.Invalid, "InvalidRequestContent",
			"The '%s' names neither 'uri' nor 'id' nor 'relativePath'.", member).WithTarget("properties." + member)
	}
	_, own, _ := strings.Cut(l.URI, "?")
	own, _, _ = strings.Cut(own, "#")
	l.query = strings.Trim(own+"&"+strings.TrimLeft(l.query, "?&"), "&")
	l.URI = withoutQuery(l.URI)
	return l, nil
}

func readOnError(v template.Value) (*onError, error) {
	if v.IsNull() {
		return nil, nil
	}
	e := &onError{Type: v.Str("type"), Name: v.Str("deploymentName")}
	switch {
	case strings.EqualFold(e.Type, "LastSuccessful"):
		e.Type, e.Name = "LastSuccessful", ""
	case strings.EqualFold(e.Type, "SpecificDeployment") && e.Name != "":
		e.Type = "SpecificDeployment"
	default:
		return nil, arm.Errorf(arm.Invalid, "InvalidOnErrorDeployment",
			"onErrorDeployment has the type 'LastSuccessful', or 'SpecificDeployment' with a deploymentName.").WithTarget("properties.onErrorDeployment")
	}
	return e, nil
}

// follow reads what the intent links to. from is the deployment that names the
// link, nil for a client.
func (s *Service) follow(ctx context.Context, in *intent, from *deploymentRun) error {
	if l := in.st.ParamsLink; l != nil {
		text, err := s.readLinked(ctx, in, l, from)
		if err != nil {
			return err
		}
		file, err := template.ReadJSON(text)
		if err != nil {
			return templateRefusal(err)
		}
		in.params2 = file
		if p, ok := file.Get("parameters"); ok {
			in.params2 = p
		}
	}
	l := in.st.Link
	if l == nil {
		return nil
	}
	text, err := s.readLinked(ctx, in, l, from)
	if err != nil {
		return err
	}
	in.sealed.Query = l.query
	if in.template, err = template.ReadJSON(text); err != nil {
		return templateRefusal(err)
	}
	if has := in.template.Str("contentVersion"); l.ContentVersion != "" && has != l.ContentVersion {
		return badLink(l.URI+l.ID, fmt.Sprintf("its contentVersion is '%s', the link asks for '%s'", has, l.ContentVersion))
	}
	in.sealed.Source = text
	return nil
}

// readLinked reads one link: of an address, of a template spec, or of a path beside
// the template that names it.
func (s *Service) readLinked(ctx context.Context, in *intent, l *TemplateLink, from *deploymentRun) ([]byte, error) {
	switch {
	case l.ID != "":
		return s.readSpec(ctx, in, l.ID, "")
	case l.URI != "":
		return s.deploy.links.read(ctx, l.URI, l.query)
	case from == nil || from.st.Link == nil:
		return nil, badLink(l.RelativePath, "it is relative, and the template that names it was not linked")
	case from.st.Link.ID != "":
		l.ID = from.st.Link.ID
		return s.readSpec(ctx, in, l.ID, l.RelativePath)
	}
	uri, err := relativeTo(from.st.Link.URI, l.RelativePath)
	if err != nil {
		return nil, err
	}
	if l.URI = uri; l.query == "" {
		l.query = from.st.Link.query
	}
	return s.deploy.links.read(ctx, l.URI, l.query)
}

// specVersion is the api-version that template specs are read with.
const specVersion = "2022-02-01"

// readSpec reads a template of a template spec, as the caller: its main one, or the
// linked one at a path.
func (s *Service) readSpec(ctx context.Context, in *intent, id, at string) ([]byte, error) {
	spec, err := arm.ParseID(id)
	if err != nil || !strings.EqualFold(spec.Type(), "Microsoft.Resources/templateSpecs/versions") || spec.Name() == "" {
		return nil, badLink(id, "it is not the id of a version of a template spec")
	}
	reply, err := s.o.Resources.Do(ctx, Call{Principal: in.st.Caller, Method: "GET", ID: spec, Version: specVersion, Correlation: in.st.Correlation})
	if err != nil {
		return nil, err
	}
	var body struct {
		Properties struct {
			MainTemplate    json.RawMessage `json:"mainTemplate"`
			LinkedTemplates []struct {
				Path     string          `json:"path"`
				Template json.RawMessage `json:"template"`
			} `json:"linkedTemplates"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(reply.Body, &body); err != nil {
		return nil, fmt.Errorf("read template spec %s: %w", id, err)
	}
	if at == "" {
		return body.Properties.MainTemplate, nil
	}
	for _, l := range body.Properties.LinkedTemplates {
		if strings.EqualFold(strings.TrimPrefix(l.Path, "./"), strings.TrimPrefix(at, "./")) {
			return l.Template, nil
		}
	}
	return nil, badLink(id, fmt.Sprintf("it has no linked template at '%s'", at))
}

// planIntent parses, binds and expands: from here on a deployment is a list of nodes.
func (s *Service) planIntent(in *intent) (*deploymentRun, error) {
	parsed, err := template.Parse(in.template)
	if err != nil {
		return nil, err
	}
	env, params := in.env(), in.allParameters()
	var bound *template.Bound
	if in.nested != nil {
		bound, err = in.nested.Bind(parsed, params, env)
	} else {
		bound, err = template.Bind(parsed, params, env)
	}
	if err != nil {
		return nil, err
	}
	plan, err := bound.Expand()
	if err != nil {
		return nil, err
	}
	in.st.TemplateHash = template.Hash(in.template)
	in.st.Template, err = json.Marshal(withoutSecrets(in.template))
	if err != nil {
		return nil, fmt.Errorf("encode the template of %s: %w", in.id, err)
	}
	in.sealed.Parameters = bound.Parameters().Reveal()
	if l := in.st.Link; l != nil {
		l.query = in.sealed.Query
	}
	r := &deploymentRun{s: s, id: in.id, st: in.st, bound: bound, plan: plan}
	return r, r.index()
}

// withoutSecrets is a template as it may be stored and exported: the default values of
// secure parameters, nested templates' too, are left out where they stand in it in clear.
func withoutSecrets(v template.Value) template.Value {
	switch v.Kind() {
	case template.KindArray:
		items := make([]template.Value, len(v.Items()))
		for i, it := range v.Items() {
			items[i] = withoutSecrets(it)
		}
		return template.Array(items...)
	case template.KindObject:
		secret := secureType(v.Str("type"))
		o := template.NewObject()
		for _, m := range v.Object().Members() {
			if secret && strings.EqualFold(m.Name, "defaultValue") && isLiteral(m.Value) {
				continue
			}
			o.Set(m.Name, withoutSecrets(m.Value))
		}
		return template.Of(o)
	}
	return v
}

// isLiteral reports whether a default value says something by itself.
func isLiteral(v template.Value) bool {
	text, ok := v.Text()
	return v.Len() > 0 && (!ok || !strings.HasPrefix(text, "["))
}

// allParameters are the values given, those of a run that goes on first.
func (in *intent) allParameters() template.Value {
	if in.params2.IsNull() && in.bound.IsNull() {
		return in.params
	}
	all := template.NewObject()
	for _, from := range []template.Value{in.bound, in.params2, in.params} { // what was given keeps its mark as a secret
		for _, m := range from.Object().Members() {
			all.Set(m.Name, m.Value)
		}
	}
	return template.Of(all)
}

// env is the world that a template's expressions see.
func (in *intent) env() template.Env {
	scope := in.id.Parent()
	facts := in.st.Scope
	return template.Env{
		Scope:        scope,
		Deployment:   template.DeploymentInfo{Name: in.id.Name(), Location: in.st.Location, Properties: in.properties()},
		Now:          in.st.Began,
		NewGUID:      uuid.NewString,
		Group:        facts.Group,
		Subscription: facts.Subscription,
		Tenant:       facts.Tenant,
		Environment:  facts.Environment,
		Deployer: template.ObjectOf("objectId", template.String(in.st.Caller.ObjectID), "tenantId", template.String(in.st.Caller.TenantID),
			"userPrincipalName", template.String(in.st.Caller.Name)),
	}
}

// properties is what deployment().properties answers.
func (in *intent) properties() template.Value {
	o := template.NewObject()
	if l := in.st.Link; l != nil {
		if v, err := template.FromAny(l); err == nil { // a struct of strings always encodes
			o.Set("templateLink", v)
		}
	}
	o.Set("template", in.template)
	o.Set("templateHash", template.String(template.Hash(in.template)))
	o.Set("parameters", in.params.AsSecure()) // whichever of them are secrets
	o.Set("mode", template.String(in.st.Mode))
	o.Set("provisioningState", template.String(stateAccepted))
	return template.Of(o)
}

// scopeFacts are what resourceGroup(), subscription(), tenant() and environment()
// answer.
type scopeFacts struct {
	Group, Subscription, Tenant, Environment template.Value
}

// scopeFacts reads them for an intent. What the caller may not read is left with
// what its id says.
func (s *Service) scopeFacts(ctx context.Context, in *intent, environment template.Value) scopeFacts {
	scope := in.id.Parent()
	sub := arm.ResourceID{Subscription: scope.Subscription}
	tenant := in.st.Caller.TenantID
	f := scopeFacts{Environment: environment}
	f.Tenant = template.ObjectOf("tenantId", template.String(tenant), "countryCode", template.Null(), "displayName", template.Null())
	f.Subscription = template.ObjectOf("id", template.String(sub.String()), "subscriptionId", template.String(sub.Subscription),
		"tenantId", template.String(tenant), "displayName", template.String(sub.Subscription))
	if v, ok := s.ask(ctx, in, sub); ok {
		f.Subscription = v
	}
	if scope.ResourceGroup != "" {
		f.Group = template.ObjectOf("id", template.String(scope.String()), "name", template.String(scope.ResourceGroup),
			"type", template.String("Microsoft.Resources/resourceGroups"), "location", template.String(in.st.Location),
			"tags", template.ObjectOf(), "properties", template.ObjectOf("provisioningState", template.String(stateSucceeded)))
		if v, ok := s.ask(ctx, in, scope); ok {
			f.Group = v
		}
	}
	return f
}

// scopesVersion is the api-version that groups and subscriptions are read with.
const scopesVersion = "2021-04-01"

// ask reads a scope through the API as the caller.
func (s *Service) ask(ctx context.Context, in *intent, id arm.ResourceID) (template.Value, bool) {
	reply, err := s.o.Resources.Do(ctx, Call{Principal: in.st.Caller, Method: "GET", ID: id, Version: scopesVersion, Correlation: in.st.Correlation})
	if err != nil {
		s.log.Debug("scope not read for a deployment", "scope", id, "deployment", in.id, "err", err)
		return template.Value{}, false
	}
	v, err := template.ReadJSON(reply.Body)
	return v, err == nil
}

// rereadIntent makes the intent of a run that goes on after a restart.
func (s *Service) rereadIntent(ctx context.Context, w deskyard.Work, st deploymentState) (*intent, error) {
	sealed, err := s.sealedSource(ctx, w.ID)
	if err != nil {
		return nil, err
	}
	in := &intent{id: w.ID, st: st, sealed: sealed}
	if in.bound, err = template.ReadJSON(sealed.Parameters); err != nil {
		return nil, fmt.Errorf("read the parameters of %s: %w", w.ID, err)
	}
	switch {
	case st.Parent != nil:
		err = s.rereadNested(ctx, in)
	case st.Link == nil:
		var again *intent
		if again, err = parseIntent(w.ID, sealed.Source); err == nil {
			in.template = again.template
		}
	}
	if err != nil {
		return nil, err
	}
	if st.Link != nil {
		in.template, err = template.ReadJSON(sealed.Source)
	}
	return in, err
}
