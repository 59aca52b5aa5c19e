package provision

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/template"
)

// Kinds of change that what-if foretells, by ARM's names.
const (
	changeCreate   = "Create"
	changeModify   = "Modify"
	changeDelete   = "Delete"
	changeNone     = "NoChange"
	changeIgnore   = "Ignore" // the group holds it, the template does not name it, the mode is Incremental
	changeDeploy   = "Deploy" // it will be deployed, and cannot be compared
	changeCantSay  = "Unsupported"
	formatIDsAlone = "ResourceIdOnly"
)

// WhatIfChange is what a deployment would do to one resource.
type WhatIfChange struct {
	ResourceID string                    `json:"resourceId"`
	ChangeType string                    `json:"changeType"`
	Reason     string                    `json:"unsupportedReason,omitempty"`
	Before     *template.Value           `json:"before,omitempty"`
	After      *template.Value           `json:"after,omitempty"`
	Delta      []template.PropertyChange `json:"delta,omitempty"`
}

// WhatIf foretells what a deployment would change; format is ARM's resultFormat.
func (s *Service) WhatIf(ctx context.Context, req DeploymentRequest, format string) ([]WhatIfChange, error) {
	p, err := s.PrepareDeployment(ctx, req)
	if err != nil {
		return nil, err
	}
	f := &foretelling{s: s, rt: &callerAPI{s, req.Caller, p.run.st.Correlation}, named: map[string]bool{},
		idsAlone: strings.EqualFold(format, formatIDsAlone), changes: []WhatIfChange{}}
	if err := f.run(ctx, p.run); err != nil {
		return nil, err
	}
	return f.changes, f.rest(ctx, p.run)
}

// foretelling gathers changes over a deployment and those nested in it.
type foretelling struct {
	s        *Service
	rt       *callerAPI
	named    map[string]bool // keys of resources that templates name
	idsAlone bool
	changes  []WhatIfChange
}

func (f *foretelling) add(c WhatIfChange) {
	if f.idsAlone {
		c.Before, c.After, c.Delta = nil, nil, nil
		if c.ChangeType == changeModify || c.ChangeType == changeNone {
			c.ChangeType = changeDeploy
		}
	}
	f.changes = append(f.changes, c)
}

func (f *foretelling) run(ctx context.Context, r *deploymentRun) error {
	for i := range r.nodes {
		n := &r.nodes[i]
		if n.skip {
			continue
		}
		for _, at := range n.id.Scopes() {
			f.named[at.Key()] = true
		}
		var err error
		if n.n.IsDeployment() {
			err = f.nested(ctx, r, i)
		} else {
			err = f.node(ctx, r, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nested looks into a deployment whose parameters are known.
func (f *foretelling) nested(ctx context.Context, r *deploymentRun, i int) error {
	n := &r.nodes[i]
	d, err := n.n.Deployment(ctx, f.rt)
	if err != nil {
		f.add(WhatIfChange{ResourceID: n.id.String(), ChangeType: changeCantSay,
			Reason: "Its parameters depend on resources that do not stand yet: " + err.Error()})
		return nil
	}
	in, err := f.s.nestedIntent(ctx, r, i, d)
	if err != nil {
		return err
	}
	child, err := f.s.planIntent(in)
	if err != nil {
		return templateRefusal(err)
	}
	return f.run(ctx, child)
}

// node compares one resource with what stands.
func (f *foretelling) node(ctx context.Context, r *deploymentRun, n *runNode) error {
	body, err := n.n.Evaluate(ctx, f.rt)
	if err != nil {
		// reference() to what does not stand yet stays as its text.
		if body, err = n.n.Preview(); err != nil {
			return templateRefusal(err)
		}
	}
	after := described(n, body)
	before, found, err := f.current(ctx, r, n)
	if err != nil {
		return err
	}
	c := WhatIfChange{ResourceID: n.id.String(), After: &after}
	switch {
	case !found:
		c.ChangeType = changeCreate
	default:
		before = ours(before)
		whole := overlay(before, after)
		c.Before, c.After, c.ChangeType = &before, &whole, changeNone
		if c.Delta = template.Diff(before, whole); len(c.Delta) > 0 {
			c.ChangeType = changeModify
		}
	}
	f.add(c)
	return nil
}

// current reads what stands, as the caller.
func (f *foretelling) current(ctx context.Context, r *deploymentRun, n *runNode) (template.Value, bool, error) {
	reply, err := f.s.o.Resources.Do(ctx, Call{Principal: r.st.Caller, Method: http.MethodGet, ID: n.id, Version: n.n.APIVersion, Correlation: r.st.Correlation})
	if arm.IsMissing(err) {
		return template.Value{}, false, nil
	}
	if err != nil {
		return template.Value{}, false, err
	}
	v, err := template.ReadJSON(reply.Body)
	if err != nil {
		return v, false, fmt.Errorf("read %s: %w", n.id, err)
	}
	return markTokens(v), true, nil
}

// described is a resource of the template as what-if shows it.
func described(n *runNode, body template.Value) template.Value {
	o := template.NewObject()
	o.Set("apiVersion", template.String(n.n.APIVersion))
	o.Set("id", template.String(n.id.String()))
	o.Set("name", template.String(n.id.Name()))
	o.Set("type", template.String(n.id.Type()))
	if n.id.ResourceGroup != "" && len(n.id.Segments) > 0 {
		o.Set("resourceGroup", template.String(n.id.ResourceGroup))
	}
	for _, m := range body.Object().Members() {
		if strings.EqualFold(m.Name, "location") {
			if text, ok := m.Value.Text(); ok {
				m.Value = template.String(canonicalPlace(text))
			}
		}
		o.Set(m.Name, m.Value)
	}
	return template.Of(o)
}

// ours leaves out what the service alone writes.
func ours(v template.Value) template.Value {
	o := template.NewObject()
	for _, m := range v.Object().Members() {
		switch strings.ToLower(m.Name) {
		case "systemdata", "etag", "id", "name", "type":
		case "identity":
			if !strings.EqualFold(m.Value.Str("type"), "None") {
				o.Set(m.Name, m.Value)
			}
		default:
			if !m.Value.IsNull() {
				o.Set(m.Name, m.Value)
			}
		}
	}
	return template.Of(o)
}

// overlay is what stands with what the template says laid over it. A member that the
// template leaves out is taken to keep its value.
func overlay(before, after template.Value) template.Value {
	if before.Kind() != template.KindObject || after.Kind() != template.KindObject {
		return after
	}
	o := template.NewObject()
	for _, m := range before.Object().Members() {
		o.Set(m.Name, m.Value)
	}
	for _, m := range after.Object().Members() {
		was, has := before.Get(m.Name)
		switch {
		case has:
			o.Set(m.Name, overlay(was, m.Value))
		case strings.EqualFold(m.Name, "apiVersion"), strings.EqualFold(m.Name, "resourceGroup"),
			strings.EqualFold(m.Name, "id"), strings.EqualFold(m.Name, "name"), strings.EqualFold(m.Name, "type"):
		case !m.Value.IsNull():
			o.Set(m.Name, m.Value)
		}
	}
	return template.Of(o)
}

// rest are the resources of the group that no template names: deleted in Complete
// mode, ignored otherwise.
func (f *foretelling) rest(ctx context.Context, r *deploymentRun) error {
	scope := r.id.Parent()
	if scope.ResourceGroup == "" {
		return nil
	}
	kind := changeIgnore
	if r.st.Mode == modeComplete {
		kind = changeDelete
	}
	rows, err := f.s.o.Store.Resources(ctx, deskyard.ResourceQuery{Scope: scope})
	if err != nil {
		return err
	}
	for _, row := range rows.Items {
		if len(row.ID.Segments) != 1 || f.named[row.ID.Key()] {
			continue
		}
		version, err := f.s.newestVersion(row.ID.Type())
		if err != nil {
			continue
		}
		reply, err := f.s.o.Resources.Do(ctx, Call{Principal: r.st.Caller, Method: http.MethodGet, ID: row.ID, Version: version, Correlation: r.st.Correlation})
		if err != nil {
			continue // what the caller may not read is not shown
		}
		before, err := template.ReadJSON(reply.Body)
		if err != nil {
			return fmt.Errorf("read %s: %w", row.ID, err)
		}
		before = markTokens(before)
		c := WhatIfChange{ResourceID: row.ID.String(), ChangeType: kind, Before: &before}
		if kind == changeIgnore {
			c.After = &before
		}
		f.add(c)
	}
	return nil
}

// StartWhatIf notes a foretelling as an operation that is over, for clients that poll.
func (s *Service) StartWhatIf(ctx context.Context, tx deskyard.Tx, scope arm.ResourceID, result []byte) (string, error) {
	id, now := uuid.NewString(), s.now().UTC()
	return id, tx.PutOperation(ctx, deskyard.Operation{ID: id, Scope: scope, Status: stateSucceeded, Started: now, Ended: now, Percent: 100, Result: result})
}
