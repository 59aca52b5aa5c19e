package armapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// writing is a PUT or PATCH under way. Its transaction may run more than once, so
// everything that a run leaves behind is set anew by each.
type writing struct {
	x       *exchange
	row     *ResourceType
	sent    sentBody
	raw     map[string]any
	replace bool // PUT

	write  Write
	status int
}

// write performs a PUT (replace) or a PATCH.
func (x *exchange) write(ctx context.Context, replace bool) (Response, error) {
	job := &writing{x: x, row: x.target.row, replace: replace}
	if err := job.read(); err != nil {
		return Response{}, err
	}
	if err := job.mayLink(ctx); err != nil {
		return Response{}, err
	}
	if err := x.s.store.Write(ctx, job.run); err != nil {
		return Response{}, err
	}
	x.audit.written = x.audit.wanted
	if job.row.AfterCommit != nil {
		job.row.AfterCommit(ctx, &job.write)
	}
	resp, err := x.answer(ctx, job.row, *job.write.New, job.status, true, job.write.Response)
	if err == nil && job.write.Operation != nil {
		pollStatus(resp.Header, x.s.baseURL(x.r), job.row, *job.write.New, x.version, *job.write.Operation)
	}
	return resp, err
}

// read takes the body apart, before any transaction.
func (j *writing) read() error {
	body := j.x.body
	if len(body) == 0 {
		if j.replace {
			return invalidContent("a request body is required")
		}
		body = []byte("{}") // AVD's PATCHes take none
	}
	if j.replace {
		if err := checkName(j.row, j.x.target.id.Name()); err != nil {
			return err
		}
	}
	var err error
	if j.sent, err = parseBody(body); err != nil {
		return err
	}
	j.raw, err = lowerKeys(j.sent.properties)
	return err
}

// run is the transaction: look, check, store, audit.
func (j *writing) run(ctx context.Context, tx deskyard.Tx) error {
	old, err := j.current(ctx, tx)
	if err != nil {
		return err
	}
	now := storeTime(j.x.s.now())
	j.write = Write{Tx: tx, Now: now, Principal: j.x.principal, Version: j.x.version, Raw: j.raw, Old: old}
	if err := j.prepare(now); err != nil {
		return err
	}
	if err := j.validate(); err != nil {
		return err
	}
	j.takeSecrets()
	if j.row.BeforeWrite != nil {
		if err := j.row.BeforeWrite(ctx, &j.write); err != nil {
			return err
		}
	}
	j.beginProgress()
	if err := j.store(ctx, tx); err != nil {
		return err
	}
	if j.row.AfterWrite != nil {
		if err := j.row.AfterWrite(ctx, &j.write); err != nil {
			return err
		}
	}
	if j.row.Submit != nil {
		if err := j.row.Submit(ctx, &j.write, deskyard.JobPut); err != nil {
			return err
		}
	}
	return j.x.audit.append(ctx, tx, j.status, strings.Join(j.write.Notes, "; "))
}

// current reads what stands now and applies the preconditions; nil: nothing does.
func (j *writing) current(ctx context.Context, tx deskyard.Tx) (*deskyard.Resource, error) {
	id := j.x.target.id
	r, err := tx.Resource(ctx, id)
	switch {
	case err == nil:
		j.status = http.StatusOK
		if err := j.row.notDeleting(r); err != nil {
			return nil, err
		}
		return &r, j.x.checkMatch(&r)
	case !arm.IsMissing(err):
		return nil, err
	case !j.replace:
		return nil, j.x.s.missing(ctx, tx, id)
	}
	if err := j.x.checkMatch(nil); err != nil {
		return nil, err
	}
	if err := j.x.s.parentExists(ctx, tx, id); err != nil {
		return nil, err
	}
	j.status = http.StatusCreated
	if j.row.PutNew != 0 {
		j.status = j.row.PutNew
	}
	return nil, nil
}

// prepare makes the new resource and both models.
func (j *writing) prepare(now time.Time) error {
	next := deskyard.Resource{ID: j.x.target.id}
	old := j.write.Old
	if old != nil {
		next = *old
		if j.replace {
			next.ID = j.x.target.id // the newest spelling counts
		}
		model := j.row.New()
		if err := json.Unmarshal(propertiesOf(*old), model); err != nil {
			return fmt.Errorf("read stored properties of %s: %w", old.ID, err)
		}
		j.write.OldModel = model
	}
	properties := j.sent.properties
	if !j.replace && properties != nil {
		merged, err := mergePatch(old.Properties, properties)
		if err != nil {
			return err
		}
		properties = merged
	} else if !j.replace {
		properties = old.Properties
	}
	model := j.row.New()
	if len(properties) > 0 {
		if err := decodeJSON(properties, model, "properties"); err != nil {
			return err
		}
	}
	model.Default(j.write.OldModel)
	j.write.Model, j.write.New = model, &next
	return j.prepareEnvelope(now)
}

func (j *writing) prepareEnvelope(now time.Time) error {
	old, next := j.write.Old, j.write.New
	if err := j.sent.apply(j.x.s, j.row, &next.Envelope, j.replace); err != nil {
		return err
	}
	if err := j.placeAt(old, next); err != nil {
		return err
	}
	p := j.x.principal
	sd := &next.Envelope.SystemData
	if old == nil {
		sd.CreatedAt, sd.CreatedBy, sd.CreatedByType = now, p.Name, p.Kind
	}
	sd.LastModifiedAt, sd.LastModifiedBy, sd.LastModifiedByType = now, p.Name, p.Kind
	return nil
}

// placeAt settles the location, which a resource keeps for life.
func (j *writing) placeAt(old, next *deskyard.Resource) error {
	if !j.row.Tracked {
		return nil
	}
	sent := ""
	if j.sent.location != nil {
		sent = *j.sent.location
	}
	if old != nil {
		if sent != "" && canonicalLocation(sent) != canonicalLocation(old.Envelope.Location) {
			return arm.Errorf(arm.Conflicting, "InvalidResourceLocation",
				"The resource '%s' already exists in location '%s' in resource group '%s'. A resource with the same name cannot be created in location '%s'. Please select a new resource name.",
				old.ID.Name(), old.Envelope.Location, old.ID.ResourceGroup, clip(sent)).WithTarget("location")
		}
		return nil
	}
	l, err := j.x.s.checkLocation(j.row.Path, sent)
	next.Envelope.Location = l
	return err
}

func (j *writing) validate() error {
	var v arm.Violations
	j.write.Model.Validate(j.write.OldModel, &v)
	return v.Err()
}

func (j *writing) store(ctx context.Context, tx deskyard.Tx) error {
	properties, err := json.Marshal(j.write.Model)
	if err != nil {
		return fmt.Errorf("encode properties of %s: %w", j.write.New.ID, err)
	}
	j.write.New.Properties, j.write.New.Refs = properties, j.write.Model.Refs()
	stored, err := tx.PutResource(ctx, *j.write.New)
	if err != nil {
		return err
	}
	j.write.New = &stored
	return nil
}

// delete removes a resource: 200, or 204 when there was none.
func (x *exchange) delete(ctx context.Context) (Response, error) {
	var w Write
	force := strings.EqualFold(x.query["force"], "true")
	err := x.s.store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		old, err := tx.Resource(ctx, x.target.id)
		if arm.IsMissing(err) {
			if err := x.s.groupExists(ctx, tx, x.target.id); err != nil {
				return err
			}
			return errGone // whatever If-Match says (RPC, "ETags for Resources")
		}
		if err != nil {
			return err
		}
		if err := x.checkMatch(&old); err != nil {
			return err
		}
		w = Write{Tx: tx, Now: storeTime(x.s.now()), Principal: x.principal, Version: x.version, Old: &old}
		if x.target.row.Submit != nil {
			if err := x.s.beginRemoval(ctx, x.target.row, &w, force); err != nil {
				return err
			}
			return x.audit.append(ctx, tx, http.StatusAccepted, strings.Join(w.Notes, "; "))
		}
		if err := x.s.remove(ctx, x.target.row, &w, force); err != nil {
			return err
		}
		return x.audit.append(ctx, tx, http.StatusOK, strings.Join(w.Notes, "; "))
	})
	if errors.Is(err, errGone) {
		return Response{Status: http.StatusNoContent}, nil
	}
	if err != nil {
		return Response{}, err
	}
	x.audit.written = x.audit.wanted
	if w.Operation == nil {
		x.s.assignmentsRemoved(w.Old.ID)
	}
	if x.target.row.AfterCommit != nil {
		x.target.row.AfterCommit(ctx, &w)
	}
	if w.Operation != nil {
		return accepted(x.s.baseURL(x.r), x.target.row, *w.Old, x.version, *w.Operation), nil
	}
	if !x.target.row.Verbs.DeletedBody {
		return Response{Status: http.StatusOK}, nil
	}
	return x.answer(ctx, x.target.row, *w.Old, http.StatusOK, false, w.Response)
}

// remove deletes one resource of a type, with the type's say in it.
func (s *Server) remove(ctx context.Context, row *ResourceType, w *Write, force bool) error {
	w.OldModel = row.New()
	if err := json.Unmarshal(propertiesOf(*w.Old), w.OldModel); err != nil {
		return fmt.Errorf("read stored properties of %s: %w", w.Old.ID, err)
	}
	if row.BeforeDelete != nil {
		if err := row.BeforeDelete(ctx, w, force); err != nil {
			return err
		}
	}
	if err := s.removingAssignments(ctx, w.Tx, w.Old.ID); err != nil {
		return err
	}
	return w.Tx.DeleteResource(ctx, w.Old.ID)
}

// checkMatch applies If-Match and If-None-Match to what stands (nil: nothing).
func (x *exchange) checkMatch(r *deskyard.Resource) error {
	match, none := x.r.Header.Get("If-Match"), x.r.Header.Get("If-None-Match")
	switch {
	case match != "" && (r == nil || !matches(match, etag(*r))):
		return arm.Errorf(arm.Precondition, "PreconditionFailed",
			"The condition '%s' in the If-Match header was not satisfied. Read the resource again and repeat the change on what it is now.", clip(match))
	case none != "" && r != nil && matches(none, etag(*r)):
		return arm.Errorf(arm.Precondition, "PreconditionFailed",
			"The condition '%s' in the If-None-Match header was not satisfied: the resource exists.", clip(none))
	}
	return nil
}

func matches(list, tag string) bool {
	for _, m := range strings.Split(list, ",") {
		m = strings.TrimPrefix(strings.TrimSpace(m), "W/")
		if m == "*" || m == tag || `"`+m+`"` == tag {
			return true
		}
	}
	return false
}

func propertiesOf(r deskyard.Resource) json.RawMessage {
	if len(r.Properties) == 0 {
		return json.RawMessage("{}")
	}
	return r.Properties
}

// storeTime cuts a time to what every store keeps.
func storeTime(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
