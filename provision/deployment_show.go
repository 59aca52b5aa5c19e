package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// deploymentsVersion is the api-version that deployments are written to the audit
// log and read with from inside.
const deploymentsVersion = "2022-09-01"

// shownDeployment is DeploymentPropertiesExtended, as it is stored and answered. No
// secret is ever in it.
type shownDeployment struct {
	Location     string          `json:"location,omitempty"` // lifted out of the properties where it is shown
	TemplateLink *TemplateLink   `json:"templateLink,omitempty"`
	TemplateHash string          `json:"templateHash,omitempty"`
	ParamsLink   *TemplateLink   `json:"parametersLink,omitempty"`
	Parameters   json.RawMessage `json:"parameters,omitempty"`
	Mode         string          `json:"mode"`
	Debug        *debugSetting   `json:"debugSetting,omitempty"`
	OnError      *shownOnError   `json:"onErrorDeployment,omitempty"`
	State        string          `json:"provisioningState"`
	Timestamp    arm.Time        `json:"timestamp"`
	Duration     string          `json:"duration"`
	Correlation  string          `json:"correlationId"`
	Providers    []shownProvider `json:"providers"`
	Dependencies []shownDepends  `json:"dependencies"`
	Outputs      json.RawMessage `json:"outputs,omitempty"`
	Resources    []resourceRef   `json:"outputResources,omitempty"`
	Validated    []resourceRef   `json:"validatedResources,omitempty"`
	Error        *arm.Error      `json:"error,omitempty"`
}

type debugSetting struct {
	DetailLevel string `json:"detailLevel"`
}

type shownOnError struct {
	Type  string `json:"type"`
	Name  string `json:"deploymentName,omitempty"`
	State string `json:"provisioningState,omitempty"`
}

type shownProvider struct {
	Namespace string      `json:"namespace"`
	Types     []shownType `json:"resourceTypes"`
}

type shownType struct {
	Type      string    `json:"resourceType"`
	Locations []*string `json:"locations"`
}

type shownDepends struct {
	DependsOn []shownResource `json:"dependsOn"`
	shownResource
}

type shownResource struct {
	ID   string `json:"id"`
	Type string `json:"resourceType"`
	Name string `json:"resourceName"`
}

type resourceRef struct {
	ID string `json:"id"`
}

// DeploymentBody is a deployment as ARM shows it.
type DeploymentBody struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Location   string            `json:"location,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties any               `json:"properties"`
}

// ShowDeployment is a stored deployment as ARM shows it.
func ShowDeployment(r deskyard.Resource) (DeploymentBody, error) {
	var p shownDeployment
	if err := json.Unmarshal(r.Properties, &p); err != nil {
		return DeploymentBody{}, fmt.Errorf("read stored properties of %s: %w", r.ID, err)
	}
	b := DeploymentBody{ID: r.ID.String(), Name: r.ID.Name(), Type: "Microsoft.Resources/deployments",
		Location: p.Location, Tags: r.Envelope.Tags}
	p.Location, b.Properties = "", &p
	return b, nil
}

// Show is a prepared deployment as validate answers it.
func (p *PreparedDeployment) Show() (DeploymentBody, error) {
	r := p.run
	shown, err := r.shown(stateSucceeded)
	if err != nil {
		return DeploymentBody{}, err
	}
	shown.Duration, shown.Timestamp = "PT0S", arm.Time{Time: r.s.now()}
	for i := range r.nodes {
		if !r.nodes[i].skip {
			shown.Validated = append(shown.Validated, resourceRef{r.nodes[i].id.String()})
		}
	}
	b := DeploymentBody{ID: r.id.String(), Name: r.id.Name(), Type: "Microsoft.Resources/deployments", Location: r.st.Location, Tags: r.st.Tags}
	shown.Location, b.Properties = "", shown
	return b, nil
}

// shown is what there is to show of a run with a plan.
func (r *deploymentRun) shown(state string) (*shownDeployment, error) {
	st := &r.st
	d := &shownDeployment{
		Location: st.Location, TemplateLink: st.Link, ParamsLink: st.ParamsLink, Mode: st.Mode,
		TemplateHash: st.TemplateHash, State: state, Timestamp: arm.Time{Time: r.s.now()}, Duration: isoDuration(r.s.now().Sub(st.Began)),
		Correlation: st.Correlation, Providers: r.providers(), Dependencies: r.dependencies(),
	}
	if st.Debug != "" {
		d.Debug = &debugSetting{st.Debug}
	}
	if st.OnError != nil {
		d.OnError = &shownOnError{Type: st.OnError.Type, Name: st.OnError.Name}
	}
	var err error
	d.Parameters, err = json.Marshal(r.bound.DisplayParameters())
	if err != nil {
		return nil, fmt.Errorf("encode the parameters of %s: %w", r.id, err)
	}
	return d, nil
}

// providers are the types that a deployment names, by namespace.
func (r *deploymentRun) providers() []shownProvider {
	places := map[string]map[string]map[string]bool{}
	for i := range r.nodes {
		n := &r.nodes[i]
		if n.n.Existing {
			continue
		}
		namespace, typ, _ := strings.Cut(n.id.Type(), "/")
		if places[namespace] == nil {
			places[namespace] = map[string]map[string]bool{}
		}
		if places[namespace][typ] == nil {
			places[namespace][typ] = map[string]bool{}
		}
		places[namespace][typ][canonicalPlace(n.n.Location)] = true
	}
	out := []shownProvider{}
	for _, namespace := range sortedKeys(places) {
		p := shownProvider{Namespace: namespace}
		for _, typ := range sortedKeys(places[namespace]) {
			t := shownType{Type: typ}
			for _, l := range sortedKeys(places[namespace][typ]) {
				t.Locations = append(t.Locations, location(l))
			}
			p.Types = append(p.Types, t)
		}
		out = append(out, p)
	}
	return out
}

// location is null where a type has none, as ARM shows it.
func location(l string) *string {
	if l == "" {
		return nil
	}
	return &l
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// dependencies are the edges of the plan.
func (r *deploymentRun) dependencies() []shownDepends {
	out := []shownDepends{}
	for i := range r.nodes {
		n := &r.nodes[i]
		if len(n.n.DependsOn) == 0 {
			continue
		}
		d := shownDepends{shownResource: showResource(n.id)}
		for _, on := range n.n.DependsOn {
			d.DependsOn = append(d.DependsOn, showResource(r.nodes[on].id))
		}
		out = append(out, d)
	}
	return out
}

func showResource(id arm.ResourceID) shownResource {
	name := strings.Join(id.Names(), "/")
	if name == "" {
		name = id.Name()
	}
	return shownResource{ID: id.String(), Type: id.Type(), Name: name}
}

// putShown writes the deployment's row. change may add to what is shown.
func (s *Service) putShown(ctx context.Context, tx deskyard.Tx, r *deploymentRun, state string, change func(*shownDeployment)) error {
	row, err := tx.Resource(ctx, r.id)
	if err != nil && !arm.IsMissing(err) {
		return err
	}
	row.ID = r.id
	shown := new(shownDeployment)
	if r.plan != nil {
		if shown, err = r.shown(state); err != nil {
			return err
		}
	} else {
		if err := json.Unmarshal(row.Properties, shown); err != nil {
			return fmt.Errorf("read stored properties of %s: %w", r.id, err)
		}
		shown.State, shown.Timestamp, shown.Duration = state, arm.Time{Time: s.now()}, isoDuration(s.now().Sub(r.st.Began))
	}
	if change != nil {
		change(shown)
	}
	if row.Properties, err = json.Marshal(shown); err != nil {
		return fmt.Errorf("encode %s: %w", r.id, err)
	}
	row.Envelope.Tags = r.st.Tags
	stamp(&row.Envelope.SystemData, r.st.Caller, r.st.Began)
	_, err = tx.PutResource(ctx, row)
	return err
}

// stamp notes who made a row and last changed it.
func stamp(d *arm.SystemData, p deskyard.Principal, at time.Time) {
	if d.CreatedAt.IsZero() {
		d.CreatedAt, d.CreatedBy, d.CreatedByType = at, p.Name, p.Kind
	}
	d.LastModifiedAt, d.LastModifiedBy, d.LastModifiedByType = at, p.Name, p.Kind
}
