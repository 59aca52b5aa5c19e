package armapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/provision"
)

// InProcess is the API for the service itself: a deployment calls it in the name of
// whoever deploys. A call takes the same way as a request over the wire, through
// routes, versions, rights, rules and the audit log; it is not authenticated again
// and not throttled, for the caller was when the deployment was submitted.
func (s *Server) InProcess() provision.Resources { return inProcess{s} }

type inProcess struct{ s *Server }

// inProcessHost stands in links of answers that nobody outside is given.
const inProcessHost = "deployment.invalid"

// Do makes a call and answers what a client would have been answered.
func (p inProcess) Do(ctx context.Context, c provision.Call) (provision.Reply, error) {
	x, w, err := p.exchange(ctx, c)
	if err != nil {
		return provision.Reply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	defer x.observe()
	op, err := x.admitInProcess(ctx)
	if err == nil && c.CheckOnly {
		row, err := x.check(ctx, c.Body)
		return provision.Reply{Status: http.StatusOK, Row: row}, err
	}
	if err == nil {
		var resp Response
		if resp, err = op.run(ctx); err == nil {
			err = x.auditSuccess(ctx, resp)
		}
		if err == nil {
			return w.reply(x, resp)
		}
	}
	return provision.Reply{}, x.refuseInProcess(ctx, err, c.CheckOnly)
}

// Knows reports whether the table has a type.
func (p inProcess) Knows(resourceType string) (versions []string, known bool) {
	row := p.s.routes.types[strings.ToLower(resourceType)]
	if row == nil {
		return nil, false
	}
	return row.Versions, true
}

// exchange is the call as the middleware sees a request.
func (p inProcess) exchange(ctx context.Context, c provision.Call) (*exchange, *silentWriter, error) {
	path := c.ID.String()
	if c.Action != "" {
		path += "/" + c.Action
	}
	u := &url.URL{Scheme: "https", Host: inProcessHost, Path: path, RawQuery: url.Values{"api-version": {c.Version}}.Encode()}
	r, err := http.NewRequestWithContext(ctx, c.Method, u.String(), nil)
	if err != nil {
		return nil, nil, fmt.Errorf("call %s %s: %w", c.Method, c.ID, err)
	}
	r.URL = u // the path as it is, not as it reads from text
	w := &silentWriter{header: http.Header{}}
	x := &exchange{s: p.s, w: &statusWriter{ResponseWriter: w}, r: r, start: p.s.now(), query: parseQuery(u.RawQuery),
		requestID: uuid.NewString(), correlation: callerID(c.Correlation), principal: c.Principal, body: c.Body}
	if len(c.Body) > maxBody {
		return nil, nil, arm.Errorf(arm.TooLarge, "RequestContentTooLarge", "The request content size exceeds the maximum size of %d bytes.", maxBody)
	}
	return x, w, nil
}

// admitInProcess takes the exchange to where its handler would run.
func (x *exchange) admitInProcess(ctx context.Context) (operation, error) {
	found, err := x.s.routes.find(x.r.Method, x.r.URL.Path)
	x.target = found
	if err != nil {
		return operation{}, err
	}
	if err := x.checkVersion(); err != nil {
		return operation{}, err
	}
	if sent := found.id.Subscription; sent != "" {
		sub, ok := x.s.subscription(sent)
		if !ok {
			return operation{}, arm.Errorf(arm.Missing, "SubscriptionNotFound", "The subscription '%s' could not be found.", clip(sent))
		}
		x.target.id.Subscription = sub.ID
	}
	op, err := x.operation()
	if err != nil {
		return op, err
	}
	x.prepareAudit(op)
	x.audit.event.Address = "" // it came with the deployment's own request
	if op.permission != "" && !op.partial {
		return op, x.s.allow(ctx, x.principal, op)
	}
	return op, nil
}

// check holds a PUT against its type's rules without writing: name, envelope, body.
// What stands is looked at, since some rules are about changes; a parent that is
// still to be made is not missed. It answers the row that would be stored.
func (x *exchange) check(ctx context.Context, body json.RawMessage) (*deskyard.Resource, error) {
	row := x.target.row
	if x.r.Method != http.MethodPut || row == nil || row.action(http.MethodPut, x.target) != nil || x.target.collection {
		return nil, nil
	}
	if body == nil {
		return nil, checkName(row, x.target.id.Name())
	}
	j := &writing{x: x, row: row, replace: true}
	if err := j.read(); err != nil {
		return nil, err
	}
	j.write = Write{Now: storeTime(x.s.now()), Principal: x.principal, Version: x.version, Raw: j.raw}
	old, err := x.s.store.Resource(ctx, x.target.id)
	switch {
	case err == nil:
		j.write.Old = &old
	case !arm.IsMissing(err):
		return nil, err
	}
	if err := j.prepare(j.write.Now); err != nil {
		return nil, err
	}
	if err := j.validate(); err != nil {
		return nil, err
	}
	j.takeSecrets()
	if j.write.New.Properties, err = json.Marshal(j.write.Model); err != nil {
		return nil, fmt.Errorf("encode properties of %s: %w", j.write.New.ID, err)
	}
	return j.write.New, nil
}

// refuseInProcess notes a refusal as refuse does for a request. Looking ahead leaves
// no line.
func (x *exchange) refuseInProcess(ctx context.Context, err error, checkOnly bool) error {
	f := refusalOf(err)
	if f.fault && ctx.Err() == nil {
		x.s.log.Error("call of a deployment failed", "error", err, "method", x.r.Method, "path", x.r.URL.Path,
			"caller", x.principal.Name, "correlation", x.correlation)
	}
	if !checkOnly && ctx.Err() == nil {
		x.auditRefusal(ctx, f)
	}
	var e *arm.Error
	if errors.As(err, &e) {
		return e
	}
	return fmt.Errorf("call %s %s: %w", x.r.Method, x.r.URL.Path, err)
}

// silentWriter keeps the headers that a handler sets; nothing is sent.
type silentWriter struct{ header http.Header }

func (w *silentWriter) Header() http.Header         { return w.header }
func (w *silentWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *silentWriter) WriteHeader(int)             {}

// reply is a handler's answer as the deployment gets it.
func (w *silentWriter) reply(x *exchange, resp Response) (provision.Reply, error) {
	status := resp.Status
	if status == 0 {
		status = http.StatusOK
	}
	x.w.status = status
	body, err := encodeBody(resp.Body)
	return provision.Reply{Status: status, Body: body}, err
}
