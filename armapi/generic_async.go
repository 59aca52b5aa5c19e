package armapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// secretive is a model with members that must not reach the store.
type secretive interface {
	Secrets() json.RawMessage
}

// takeSecrets keeps aside what the body holds and the row must not. The hooks may
// make the model anew from what is stored; the secrets stay with the write.
func (j *writing) takeSecrets() {
	if m, ok := j.write.Model.(secretive); ok {
		j.write.Secrets = m.Secrets()
	}
}

// beginProgress marks a resource whose making goes on after the answer.
func (j *writing) beginProgress() {
	m, ok := j.write.Model.(deskyard.Provisioned)
	if !ok || j.row.Submit == nil {
		return
	}
	state := deskyard.StateCreating
	if j.write.Old != nil {
		state = deskyard.StateUpdating
	}
	*m.Progress() = deskyard.Provisioning{ProvisioningState: state}
}

// notDeleting refuses to write over what is on its way out.
func (row *ResourceType) notDeleting(r deskyard.Resource) error {
	if row.Submit == nil || provisioningState(r) != deskyard.StateDeleting {
		return nil
	}
	return arm.Errorf(arm.Conflicting, "OperationNotAllowed",
		"The resource '%s' is marked for deletion. Wait until it is gone, then create it anew.", r.ID.Name())
}

// provisioningState is what a row says of itself; "" when it says nothing.
func provisioningState(r deskyard.Resource) string {
	var p struct {
		State string `json:"provisioningState"`
	}
	if json.Unmarshal(propertiesOf(r), &p) != nil {
		return ""
	}
	return p.State
}

// mayLink asks for the rights that a body needs on what it refers to. It comes before
// the transaction, which must not wait for anything else. What the body gets wrong is
// said by the checks behind it.
func (j *writing) mayLink(ctx context.Context) error {
	if j.sent.identity != nil && j.row.UserIdentities {
		for text := range j.sent.identity.UserAssigned {
			id, err := arm.ParseID(text)
			if err != nil {
				return arm.Errorf(arm.Invalid, "LinkedInvalidPropertyId", "Property id '%s' at path 'identity.userAssignedIdentities' is invalid.", clip(text)).WithTarget("identity")
			}
			// The operation is documented without the asterisk, and the built-in role has it with.
			err = j.allowLink(ctx, "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", id)
			if err != nil && j.allowLink(ctx, "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action", id) != nil {
				return err
			}
		}
	}
	if j.row.Linked == nil || len(j.sent.properties) == 0 {
		return nil
	}
	model := j.row.New()
	if err := decodeJSON(j.sent.properties, model, "properties"); err != nil {
		return err
	}
	model.Default(nil)
	asked := map[string]bool{}
	for _, ref := range model.Refs() {
		action := j.row.Linked(ref)
		if key := action + " " + ref.Target.Key(); action != "" && !asked[key] {
			asked[key] = true
			if err := j.allowLink(ctx, action, ref.Target); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *writing) allowLink(ctx context.Context, action string, target arm.ResourceID) error {
	p := j.x.principal
	err := j.x.s.access.Allow(ctx, p, action, target)
	if err == nil || refusalOf(err).status != http.StatusForbidden {
		return err
	}
	return arm.Errorf(arm.Forbidden, "LinkedAuthorizationFailed",
		"The client '%s' with object id '%s' has permission to perform action '%s' on scope '%s'; however, it does not have permission to perform action '%s' on the linked scope '%s' or the linked scope is invalid.",
		p.Name, p.ObjectID, j.row.permission("write"), j.x.target.id, action, target)
}

// beginRemoval marks a resource for deletion and submits it; its row goes when the
// work is done.
func (s *Server) beginRemoval(ctx context.Context, row *ResourceType, w *Write, force bool) error {
	model := row.New()
	if err := json.Unmarshal(propertiesOf(*w.Old), model); err != nil {
		return fmt.Errorf("read stored properties of %s: %w", w.Old.ID, err)
	}
	w.OldModel = model
	if row.BeforeDelete != nil {
		if err := row.BeforeDelete(ctx, w, force); err != nil {
			return err
		}
	}
	if m, ok := model.(deskyard.Provisioned); ok && m.Progress().ProvisioningState != deskyard.StateDeleting {
		m.Progress().ProvisioningState = deskyard.StateDeleting
		if err := rewrite(ctx, w, *w.Old, m); err != nil {
			return err
		}
	}
	return row.Submit(ctx, w, deskyard.JobDelete)
}

// pollStatus tells a client where to follow an operation. There is no Location beside
// the body of a write: clients would take it for the resource.
func pollStatus(h http.Header, base string, row *ResourceType, r deskyard.Resource, version string, op deskyard.Operation) {
	h.Set("Azure-AsyncOperation", operationURL(base, row, r, version, op, "operationStatuses"))
	h.Set("Retry-After", retrySoon)
}

// accepted answers what is done only after the answer.
func accepted(base string, row *ResourceType, r deskyard.Resource, version string, op deskyard.Operation) Response {
	h := http.Header{}
	pollStatus(h, base, row, r, version, op)
	h.Set("Location", operationURL(base, row, r, version, op, "operationResults"))
	return Response{Status: http.StatusAccepted, Header: h}
}

func operationURL(base string, row *ResourceType, r deskyard.Resource, version string, op deskyard.Operation, what string) string {
	location := r.Envelope.Location
	if location == "" {
		location = "global"
	}
	return base + "/subscriptions/" + r.ID.Subscription + "/providers/" + row.Namespace + "/locations/" + url.PathEscape(location) +
		"/" + what + "/" + op.ID + "?api-version=" + url.QueryEscape(version)
}

// expand is what the request asks to be shown beside a resource.
func (x *exchange) expand() string {
	if strings.EqualFold(x.query["statusonly"], "true") { // of lists of machines
		return "instanceview"
	}
	return strings.ToLower(x.query["$expand"])
}

// submit hands a job to whoever makes machines.
func (s *Server) submit(ctx context.Context, w *Write, kind, verb string, id arm.ResourceID) error {
	if s.opt.Machines == nil {
		return errNoHypervisor(id)
	}
	op, err := s.opt.Machines.Submit(ctx, w.Tx, deskyard.Job{Kind: kind, Verb: verb, ID: id, Caller: w.Principal, Secrets: w.Secrets})
	if err != nil {
		return err
	}
	w.Operation = &op
	return nil
}

// errNoHypervisor is the answer of a service that makes no machines.
func errNoHypervisor(id arm.ResourceID) error {
	return arm.Errorf(arm.Conflicting, "NoHypervisorConfigured",
		"The service cannot make or change '%s': no hypervisor is configured. Start the service with --hypervisors FILE.", id.Name())
}
