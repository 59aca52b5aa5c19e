package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/template"
)

// States of a step beside those it ends in.
const (
	stepExecuting = "Executing" // the call is under way, or was when the service died
	stepWaiting   = "Waiting"   // the resource was accepted and is not ready yet
)

// What steps do, by ARM's names of provisioningOperation.
const (
	verbCreate  = "Create"
	verbDelete  = "Delete"
	verbOutputs = "EvaluateDeploymentOutput"
)

// step is the record of one resource of a deployment: ARM's deployment operation.
type step struct {
	Run     string // of which run; what another left behind does not count
	Node    int    // of the plan; -1 beside it
	Target  arm.ResourceID
	Version string `json:",omitempty"`
	Verb    string
	State   string // stepExecuting | stepWaiting | Succeeded | Failed | Canceled
	Began   time.Time
	Ended   time.Time  `json:",omitzero"`
	Status  string     `json:",omitempty"` // HTTP status by its name
	Error   *arm.Error `json:",omitempty"`
	Path    string     `json:",omitempty"` // in the template
	Line    int        `json:",omitempty"`
	Tries   int        `json:",omitempty"`
	Retry   time.Time  `json:",omitzero"` // not before

	Request  json.RawMessage `json:",omitempty"` // secrets redacted; only where debugSetting asks
	Response json.RawMessage `json:",omitempty"`

	again bool // its call is to be made once more
}

// open reports whether the step has not ended.
func (p *step) open() bool { return p.State == stepExecuting || p.State == stepWaiting }

// due reports whether the step's call is to be made now.
func (p *step) due(now time.Time) bool { return p.again && !p.Retry.After(now) }

// operationID names a step below its deployment: sixteen hexadecimal digits, the
// same for the same resource.
func (p *step) operationID() string {
	sum := sha256.Sum256([]byte(p.Verb + " " + p.Target.Key()))
	return strings.ToUpper(hex.EncodeToString(sum[:8]))
}

// read is the step that a row holds.
func (p *step) read(w deskyard.Work) error {
	if err := json.Unmarshal(w.State, p); err != nil {
		return fmt.Errorf("read the step %s: %w", w.ID, err)
	}
	return nil
}

// put writes the step's row below its deployment.
func (p *step) put(ctx context.Context, tx deskyard.Tx, deployment arm.ResourceID, now time.Time) error {
	id := deployment.Child("operations", p.operationID())
	w, err := tx.Work(ctx, deskyard.WorkStep, id)
	if arm.IsMissing(err) {
		w, err = deskyard.Work{Kind: deskyard.WorkStep, ID: id, Created: now}, nil
	}
	if err != nil {
		return err
	}
	if w.State, err = json.Marshal(p); err != nil {
		return fmt.Errorf("encode the step %s: %w", id, err)
	}
	w.Changed = now
	_, err = tx.PutWork(ctx, w)
	return err
}

// writeSteps writes what came of steps and that others begin, in one transaction.
func (r *deploymentRun) writeSteps(ctx context.Context, ended []outcome, begun []int) error {
	now := r.s.now().UTC()
	err := r.s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		for _, o := range ended {
			if err := o.step.put(ctx, tx, r.id, now); err != nil {
				return err
			}
		}
		for _, i := range begun {
			if err := r.steps[i].put(ctx, tx, r.id, now); err != nil {
				return err
			}
		}
		return r.markRunning(ctx, tx)
	})
	r.begun = r.begun || err == nil
	return err
}

// forgetSteps deletes the steps of a former run.
func forgetSteps(ctx context.Context, tx deskyard.Tx, deployment arm.ResourceID) error {
	rows, err := tx.Works(ctx, deskyard.WorkQuery{Kind: deskyard.WorkStep, Scope: deployment})
	if err != nil {
		return err
	}
	for _, w := range rows.Items {
		if err := tx.DeleteWork(ctx, deskyard.WorkStep, w.ID); err != nil {
			return err
		}
	}
	return nil
}

// resourceState is what a stored resource says of its own making.
type resourceState struct {
	ProvisioningState string          `json:"provisioningState"`
	Error             *arm.Error      `json:"error"`
	StatusReason      json.RawMessage `json:"statusReason"`
	InstanceView      struct {
		Statuses []struct {
			Code    string `json:"code"`
			Level   string `json:"level"`
			Message string `json:"message"`
		} `json:"statuses"`
	} `json:"instanceView"`
}

func (s resourceState) succeeded() bool {
	return s.ProvisioningState == "" || strings.EqualFold(s.ProvisioningState, stateSucceeded)
}

func (s resourceState) failed() bool {
	return strings.EqualFold(s.ProvisioningState, stateFailed) || strings.EqualFold(s.ProvisioningState, stateCanceled)
}

// problem says why a resource failed, in the resource's own words where it has any.
func (s resourceState) problem(id arm.ResourceID) *arm.Error {
	e := arm.Errorf(arm.Conflicting, "ResourceDeploymentFailure",
		"The resource write operation failed to complete successfully, because it reached terminal provisioning state '%s'.", s.ProvisioningState).WithTarget(id.String())
	if s.Error != nil && s.Error.Code != "" {
		e.Details = append(e.Details, *s.Error)
		return e
	}
	if cause, ok := s.reason(); ok {
		e.Details = append(e.Details, cause)
		return e
	}
	for _, st := range s.InstanceView.Statuses {
		if strings.EqualFold(st.Level, "Error") && st.Message != "" {
			e.Details = append(e.Details, arm.Error{Code: lastPart(st.Code), Message: st.Message})
		}
	}
	return e
}

// reason reads statusReason: a sentence, or code and message.
func (s resourceState) reason() (arm.Error, bool) {
	var text string
	if json.Unmarshal(s.StatusReason, &text) == nil && text != "" {
		return arm.Error{Code: "ProvisioningFailed", Message: text}, true
	}
	var e arm.Error
	if json.Unmarshal(s.StatusReason, &e) == nil && e.Message != "" {
		return e, true
	}
	return e, false
}

func lastPart(code string) string { return code[strings.LastIndexByte(code, '/')+1:] }

// redacted is a body as operations show it.
func redacted(v template.Value) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil { // a Value always encodes
		return nil
	}
	return b
}

// redactedReply is an answer as operations show it: without a host pool's key.
func redactedReply(body json.RawMessage) json.RawMessage {
	v, err := template.ReadJSON(body)
	if err != nil {
		return nil // no JSON: nothing that can be shown as such
	}
	return redacted(markTokens(v))
}

// statusName is a status as operations spell it: "Created", "NotFound".
func statusName(status int) string { return strings.ReplaceAll(http.StatusText(status), " ", "") }

// kindName is the status that a refusal has at the API.
func kindName(k arm.Kind) string {
	for _, e := range []struct {
		kind   arm.Kind
		status int
	}{
		{arm.Invalid, http.StatusBadRequest}, {arm.Unauthenticated, http.StatusUnauthorized}, {arm.Forbidden, http.StatusForbidden},
		{arm.Missing, http.StatusNotFound}, {arm.Conflicting, http.StatusConflict}, {arm.Precondition, http.StatusPreconditionFailed},
		{arm.Throttled, http.StatusTooManyRequests}, {arm.Unavailable, http.StatusServiceUnavailable},
	} {
		if e.kind == k {
			return statusName(e.status)
		}
	}
	return statusName(http.StatusBadRequest)
}

// DeploymentOperation is a step as ARM shows it.
type DeploymentOperation struct {
	ID         string                        `json:"id"`
	Operation  string                        `json:"operationId"`
	Properties DeploymentOperationProperties `json:"properties"`
}

// DeploymentOperationProperties are the properties of a DeploymentOperation.
type DeploymentOperationProperties struct {
	Operation string          `json:"provisioningOperation"`
	State     string          `json:"provisioningState"`
	Timestamp arm.Time        `json:"timestamp"`
	Duration  string          `json:"duration"`
	TrackID   string          `json:"trackingId"`
	Request   *httpContent    `json:"request,omitempty"`
	Response  *httpContent    `json:"response,omitempty"`
	Status    string          `json:"statusCode,omitempty"`
	Message   *statusMessage  `json:"statusMessage,omitempty"`
	Target    *targetResource `json:"targetResource,omitempty"`
}

type httpContent struct {
	Content json.RawMessage `json:"content"`
}

type statusMessage struct {
	Status string     `json:"status"`
	Error  *arm.Error `json:"error"`
}

type targetResource struct {
	ID      string `json:"id"`
	Type    string `json:"resourceType"`
	Name    string `json:"resourceName"`
	Version string `json:"apiVersion,omitempty"`
}

// show is the step as ARM does.
func (p *step) show(w deskyard.Work, now time.Time) DeploymentOperation {
	at, end := w.Changed, p.Ended
	if end.IsZero() {
		end = now
	}
	q := DeploymentOperationProperties{
		Operation: p.Verb, State: p.State, Timestamp: arm.Time{Time: at}, Duration: isoDuration(end.Sub(p.Began)),
		TrackID: uuid.NewSHA1(uuid.NameSpaceURL, []byte(w.ID.Key()+p.Run)).String(), Status: p.Status,
	}
	if p.open() {
		q.State = stateRunning
	}
	if p.Error != nil {
		q.Message = &statusMessage{Status: stateFailed, Error: p.Error}
	}
	if p.Request != nil {
		q.Request = &httpContent{p.Request}
	}
	if p.Response != nil {
		q.Response = &httpContent{p.Response}
	}
	if p.Verb != verbOutputs {
		q.Target = &targetResource{ID: p.Target.String(), Type: p.Target.Type(), Name: strings.Join(p.Target.Names(), "/"), Version: p.Version}
		if len(p.Target.Segments) == 0 {
			q.Target.Name = p.Target.Name()
		}
	}
	return DeploymentOperation{ID: w.ID.String(), Operation: w.ID.Name(), Properties: q}
}

// DeploymentOperations lists a deployment's operations; after and limit cut pages.
func (s *Service) DeploymentOperations(ctx context.Context, id arm.ResourceID, after string, limit int) (deskyard.Page[DeploymentOperation], error) {
	var page deskyard.Page[DeploymentOperation]
	rows, err := s.o.Store.Works(ctx, deskyard.WorkQuery{Kind: deskyard.WorkStep, Scope: id, After: after, Limit: limit})
	if err != nil {
		return page, err
	}
	page.Next = rows.Next
	for _, w := range rows.Items {
		var p step
		if err := p.read(w); err != nil {
			return page, err
		}
		page.Items = append(page.Items, p.show(w, s.now()))
	}
	sort.SliceStable(page.Items, func(i, j int) bool { // the latest first, within a page
		return page.Items[i].Properties.Timestamp.After(page.Items[j].Properties.Timestamp.Time)
	})
	return page, nil
}

// DeploymentOperation is one of a deployment's operations.
func (s *Service) DeploymentOperation(ctx context.Context, id arm.ResourceID, operation string) (DeploymentOperation, error) {
	w, err := s.o.Store.Work(ctx, deskyard.WorkStep, id.Child("operations", operation))
	if arm.IsMissing(err) {
		return DeploymentOperation{}, arm.Errorf(arm.Missing, "DeploymentOperationNotFound",
			"Deployment operation '%s' of deployment '%s' could not be found.", operation, id.Name())
	}
	if err != nil {
		return DeploymentOperation{}, err
	}
	var p step
	if err := p.read(w); err != nil {
		return DeploymentOperation{}, err
	}
	return p.show(w, s.now()), nil
}

// isoDuration is a duration as ISO 8601 has it, with the seven digits of .NET.
func isoDuration(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	text := "PT"
	if h := int(d.Hours()); h > 0 {
		text += fmt.Sprintf("%dH", h)
		d -= time.Duration(h) * time.Hour
	}
	if m := int(d.Minutes()); m > 0 {
		text += fmt.Sprintf("%dM", m)
		d -= time.Duration(m) * time.Minute
	}
	seconds := strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.7f", d.Seconds()), "0"), ".")
	return text + seconds + "S"
}
