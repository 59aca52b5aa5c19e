package armapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// requestTimeout is when Azure's gateway gives up on a provider (504).
const requestTimeout = 60 * time.Second

// exchange is one request on its way through the middleware.
type exchange struct {
	s           *Server
	w           *statusWriter
	r           *http.Request
	start       time.Time
	query       queryParams
	requestID   string
	correlation string

	target    target
	principal deskyard.Principal
	version   string
	body      []byte
	audit     auditor
}

// operation is what a request turned out to ask for.
type operation struct {
	permission string         // "" needs none
	scope      arm.ResourceID // where the permission is asked for
	instead    func(arm.ResourceID) (string, arm.ResourceID)
	partial    bool // a list that may answer a part: rows are asked for one by one
	audit      bool
	run        func(ctx context.Context) (Response, error)
}

// serve is the middleware: the order of everything stands in run and here.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	x := &exchange{s: s, w: &statusWriter{ResponseWriter: w}, r: r, start: s.now(), query: parseQuery(r.URL.RawQuery)}
	x.identify()
	x.setHeaders()
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	defer x.observe()
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { // net/http's own way to hang up
				panic(p)
			}
			x.refuse(ctx, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	resp, err := x.run(ctx)
	if err == nil {
		err = x.reply(resp)
	}
	if err != nil {
		x.refuse(ctx, err)
	}
}

// run takes a request through its checks, in this order. Which types and paths
// exist is public; what exists below a subscription is not, so that a caller who
// may not look is refused before the store is asked.
func (x *exchange) run(ctx context.Context) (Response, error) {
	found, routeErr := x.s.routes.find(x.r.Method, x.r.URL.Path)
	x.target = found
	if !found.public() {
		if err := x.authenticate(); err != nil {
			return Response{}, err
		}
	}
	if err := x.s.throttle.admit(x); err != nil {
		return Response{}, err
	}
	if routeErr != nil {
		return Response{}, routeErr
	}
	if err := x.checkVersion(); err != nil {
		return Response{}, err
	}
	if sent := found.id.Subscription; sent != "" {
		sub, ok := x.s.subscription(sent)
		if !ok {
			return Response{}, arm.Errorf(arm.Missing, "SubscriptionNotFound", "The subscription '%s' could not be found.", clip(sent))
		}
		x.target.id.Subscription = sub.ID // what is stored has one spelling of it
	}
	op, err := x.operation()
	if err != nil {
		return Response{}, err
	}
	x.prepareAudit(op)
	if op.permission != "" && !op.partial {
		if err := x.s.allow(ctx, x.principal, op); err != nil {
			return Response{}, err
		}
	}
	if err := x.readBody(); err != nil {
		return Response{}, err
	}
	resp, err := op.run(ctx)
	if err != nil {
		return Response{}, err
	}
	return resp, x.auditSuccess(ctx, resp)
}

// allow asks for the operation's permission and, without it, for the one that is as
// good. The refusal names the first.
func (s *Server) allow(ctx context.Context, p deskyard.Principal, op operation) error {
	err := s.access.Allow(ctx, p, op.permission, op.scope)
	if err == nil || op.instead == nil || refusalOf(err).status != http.StatusForbidden {
		return err
	}
	action, scope := op.instead(op.scope)
	other := s.access.Allow(ctx, p, action, scope)
	if other != nil && refusalOf(other).status == http.StatusForbidden {
		return err
	}
	return other
}

func (t target) public() bool { return t.door != nil && t.door.Public }

// operation finds what the method means at the target.
func (x *exchange) operation() (operation, error) {
	t := x.target
	if t.door != nil {
		return x.doorOperation(t.door), nil
	}
	if a := t.row.action(x.r.Method, t); a != nil {
		return x.actionOperation(a)
	}
	if t.action != "" {
		return operation{}, methodRefused(x.r.Method, t.row.methods(t))
	}
	return x.genericOperation()
}

func (x *exchange) doorOperation(d *door) operation {
	q := x.request()
	x.audit.request = q
	return operation{
		permission: d.Permission, scope: x.target.id, audit: d.Audit,
		run: func(ctx context.Context) (Response, error) {
			q.Body = x.body
			return d.Handle(ctx, q)
		},
	}
}

func (x *exchange) actionOperation(a *Action) (operation, error) {
	if a.Versions != nil && !containsFold(a.Versions, x.version) {
		return operation{}, x.s.unknownVersion(x.target.row.Path+"/"+a.Path, x.version, a.Versions)
	}
	q := x.request()
	x.audit.request = q
	return operation{
		permission: a.Permission, scope: q.ID, instead: a.Instead, audit: a.Audit,
		run: func(ctx context.Context) (Response, error) {
			q.Body = x.body
			return a.Handle(ctx, q)
		},
	}, nil
}

// request is the target as handlers see it.
func (x *exchange) request() *Request {
	id := x.target.id
	if x.target.collection {
		id = id.Parent()
	}
	return &Request{
		HTTP: x.r, ID: id, Type: x.target.row, Vars: x.target.vars, Version: x.version,
		Principal: x.principal, BaseURL: x.s.baseURL(x.r),
		server: x.s, audit: &x.audit, query: x.query,
	}
}

// authenticate learns who is asking.
func (x *exchange) authenticate() error {
	p, err := x.s.auth.Authenticate(x.r)
	if err != nil {
		if f := refusalOf(err); f.status == http.StatusUnauthorized {
			x.w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer authorization_uri=%q, error=\"invalid_token\", error_description=%q",
				x.s.loginURL(x.r), headerSafe(f.err.Message)))
		}
		return err
	}
	x.principal = p
	return nil
}

// reply sends what a handler answered.
func (x *exchange) reply(resp Response) error {
	status := resp.Status
	if status == 0 {
		status = http.StatusOK
	}
	body, err := encodeBody(resp.Body)
	if err != nil {
		return err
	}
	h := x.w.Header()
	for k, v := range resp.Header {
		h[k] = v
	}
	if status == http.StatusAccepted && h.Get("Retry-After") == "" {
		h.Set("Retry-After", retrySoon)
	}
	if !isRead(x.r.Method) && status < http.StatusMultipleChoices && status != http.StatusAccepted && h.Get("Azure-AsyncOperation") == "" {
		h.Set(skipPollingDelay, "true")
	}
	if body == nil || x.r.Method == http.MethodHead {
		x.w.WriteHeader(status)
		return nil
	}
	h.Set("Content-Type", contentType(resp.Body))
	x.send(status, body)
	return nil
}

func isRead(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// encodeBody is nil for no body.
func encodeBody(body any) ([]byte, error) {
	switch b := body.(type) {
	case nil:
		return nil, nil
	case json.RawMessage:
		return b, nil
	case rawBody:
		return b.data, nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// refuse answers an error, and notes it: in the audit log when it refuses a write,
// in the service's log when it is the service's fault.
func (x *exchange) refuse(ctx context.Context, err error) {
	f := refusalOf(err)
	switch {
	case f.fault && errors.Is(x.r.Context().Err(), context.Canceled):
		x.s.log.Debug("client went away", "error", err, "method", x.r.Method, "path", x.r.URL.Path, "correlation", x.correlation)
	case f.fault:
		x.s.log.Error("request failed", "error", err, "method", x.r.Method, "path", x.r.URL.Path,
			"caller", x.principal.Name, "correlation", x.correlation)
	}
	x.auditRefusal(ctx, f)
	if x.w.status != 0 {
		return // too late: the answer is on its way
	}
	writeError(x.w, x.r.Method, f)
}

// observe counts the request once it is answered.
func (x *exchange) observe() {
	typ, took := x.target.label(), x.s.now().Sub(x.start)
	x.s.metrics.observe(typ, x.r.Method, x.w.status, took)
	x.s.log.Debug("request answered", "method", x.r.Method, "path", x.r.URL.Path, "version", x.version,
		"status", x.w.status, "took", took, "caller", x.principal.Name, "correlation", x.correlation)
}

// label names the target for metrics, with bounded cardinality.
func (t target) label() string {
	switch {
	case t.door != nil:
		return t.door.Path
	case t.row != nil && t.action != "":
		return t.row.Namespace + "/" + t.row.Path + "/" + t.action
	case t.row != nil:
		return t.row.Namespace + "/" + t.row.Path
	}
	return "unknown"
}

// identify gives the request its ids.
func (x *exchange) identify() {
	x.requestID = callerID(x.r.Header.Get("x-ms-client-request-id"))
	x.correlation = callerID(x.r.Header.Get("x-ms-correlation-request-id"))
}

// callerID keeps an id that the caller chose, as the AVD provider does, when it is
// one that a log line can hold.
func callerID(sent string) string {
	if id, err := uuid.Parse(sent); err == nil {
		return id.String()
	}
	return uuid.NewString()
}

// statusWriter remembers what was answered.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
