package armapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/connect"
)

// Connections is whoever brings users to their desktops; package connect's Service is one.
type Connections interface {
	Explain(ctx context.Context, id string) (deskyard.Connection, error)
	Connections(ctx context.Context, q deskyard.ConnectionQuery) (deskyard.Page[deskyard.Connection], error)
	// WhatIf decides for a user as a connection would, and changes nothing; a zero pool
	// means all that the user may open.
	WhatIf(ctx context.Context, user string, pool arm.ResourceID) ([]connect.Outcome, error)
	// Pending are the places that are reserved and whose sessions the hosts have not
	// reported, by the hosts' object ids in lower case.
	Pending(ctx context.Context, q deskyard.SlotQuery) (map[string][]deskyard.UserSession, error)
	// Release gives such a place back.
	Release(ctx context.Context, hostObjectID, user string) error
	// Disconnect ends the relay through which a user is on a host, if there is one.
	Disconnect(ctx context.Context, hostObjectID, user string) (bool, error)
}

// connectionsPath is the collection of records below a subscription, or a pool.
const connectionsPath = "connections"

// readConnections is the right to see who connected: who may see sessions may see it.
var readConnections = desktopAction("hostPools/sessionHosts/userSessions/read")

// connectionActions are a pool's: its records, and how it would decide.
func (s *Server) connectionActions() []Action {
	return []Action{
		{Method: http.MethodGet, Path: connectionsPath, Permission: readConnections, Handle: s.listConnections},
		{Path: "explainConnection", Permission: readConnections, Handle: s.explainConnection},
		{Path: "whatIfConnection", Permission: readConnections, Handle: s.whatIfConnection},
	}
}

// connectionDoors are the same below the subscription: a record is found by its id alone.
func (s *Server) connectionDoors() []Door {
	const at = "/subscriptions/{subscription}/providers/" + desktopNamespace + "/"
	return []Door{
		{Method: http.MethodGet, Path: at + connectionsPath, Permission: readConnections, Versions: desktopVersions, Handle: s.listConnections},
		// Whoever may see its pool may see a connection, and its user; the handler decides.
		{Method: http.MethodGet, Path: at + connectionsPath + "/{connection}", Versions: desktopVersions, Handle: s.getConnection},
		{Method: http.MethodPost, Path: at + "whatIfConnection", Permission: readConnections, Versions: desktopVersions, Handle: s.whatIfConnection},
	}
}

// connections is whoever has the records, or the refusal of a service that has none.
func (s *Server) connections() (Connections, error) {
	if s.opt.Connections == nil {
		return nil, arm.Errorf(arm.Conflicting, "NoConnections", "This service brings no users to their desktops.")
	}
	return s.opt.Connections, nil
}

// listConnections lists records, newest first: of a pool or of all, by user, host
// (object id) and time.
func (s *Server) listConnections(ctx context.Context, req *Request) (Response, error) {
	c, err := s.connections()
	if err != nil {
		return Response{}, err
	}
	p, err := req.Paging()
	if err != nil {
		return Response{}, err
	}
	q := deskyard.ConnectionQuery{User: req.Query("user"), Host: req.Query("host"), After: p.After, Limit: p.Size}
	if req.Type != nil {
		if _, err := req.Load(ctx, s.store); err != nil {
			return Response{}, err
		}
		q.Pool = req.ID
	}
	for name, at := range map[string]*time.Time{"startTime": &q.Since, "endTime": &q.Until} {
		if v := req.Query(name); v != "" {
			t, err := arm.ParseTime(v)
			if err != nil {
				return Response{}, badQuery(name, v, "an ISO 8601 date and time")
			}
			*at = t.Time
		}
	}
	page, err := c.Connections(ctx, q)
	if err != nil {
		return Response{}, err
	}
	items := []any{}
	for _, r := range page.Items {
		if !r.Pool.IsZero() && !strings.EqualFold(r.Pool.Subscription, req.ID.Subscription) {
			continue // of another subscription; a page may come out short
		}
		r.Decision = briefly(r.Decision)
		items = append(items, s.renderConnection(req, r))
	}
	return req.ListResponse(items, page.Next), nil
}

// briefly is a decision without its candidates, for lists.
func briefly(d *deskyard.Decision) *deskyard.Decision {
	if d == nil {
		return nil
	}
	brief := *d
	brief.Candidates = nil
	return &brief
}

func noConnection(id string) error {
	return arm.Errorf(arm.Missing, "ConnectionNotFound", "There is no record of the connection '%s' that you may see.", clip(id))
}

// getConnection answers one record to its user and to those who may see its pool.
func (s *Server) getConnection(ctx context.Context, req *Request) (Response, error) {
	return s.connectionByID(ctx, req, req.Vars["connection"])
}

// explainConnection is getConnection for those who have a pool's right: {"connectionId"}.
func (s *Server) explainConnection(ctx context.Context, req *Request) (Response, error) {
	var body struct {
		ID string `json:"connectionId"`
	}
	if err := req.Decode(&body); err != nil {
		return Response{}, err
	}
	if _, err := req.Load(ctx, s.store); err != nil {
		return Response{}, err
	}
	return s.connectionByID(ctx, req, body.ID)
}

func (s *Server) connectionByID(ctx context.Context, req *Request, id string) (Response, error) {
	c, err := s.connections()
	if err != nil {
		return Response{}, err
	}
	r, err := c.Explain(ctx, id)
	if arm.IsMissing(err) {
		return Response{}, noConnection(id)
	}
	if err != nil {
		return Response{}, err
	}
	if req.Type != nil { // the pool's right was asked for by the route
		if !r.Pool.Equal(req.ID) {
			return Response{}, noConnection(id)
		}
		return Response{Body: s.renderConnection(req, r)}, nil
	}
	if strings.EqualFold(r.UserID, req.Principal.ObjectID) {
		return Response{Body: s.renderConnection(req, r)}, nil
	}
	scope := r.Pool
	if scope.IsZero() || !strings.EqualFold(scope.Subscription, req.ID.Subscription) {
		scope = req.ID
	}
	err = s.access.Allow(ctx, req.Principal, readConnections, scope)
	var denied *arm.Error
	if errors.As(err, &denied) && denied.Kind == arm.Forbidden {
		return Response{}, noConnection(id)
	}
	if err != nil {
		return Response{}, err
	}
	return Response{Body: s.renderConnection(req, r)}, nil
}

// connectionProperties is a record on the wire.
type connectionProperties struct {
	User     string              `json:"userPrincipalName"`
	UserID   string              `json:"userObjectId"`
	Resource string              `json:"resourceId"`
	Host     string              `json:"sessionHostResourceId,omitempty"`
	HostName string              `json:"sessionHostName,omitempty"`
	Door     string              `json:"door"`
	Client   deskyard.ClientInfo `json:"client"`
	Gateway  string              `json:"gateway,omitempty"`
	State    string              `json:"state"`
	Symbol   string              `json:"failureSymbol,omitempty"`
	Failure  *connectionFailure  `json:"failure,omitempty"`
	Started  arm.Time            `json:"startTime"`
	Ended    *arm.Time           `json:"endTime"`
	Reason   string              `json:"endReason,omitempty"`
	Stages   []connectionStage   `json:"stages"`
	Decision *deskyard.Decision  `json:"decision"`
	Traffic  deskyard.Traffic    `json:"traffic"`
}

type connectionFailure struct {
	Code       int    `json:"code"`
	Symbol     string `json:"symbol"`
	Message    string `json:"message"`
	Service    bool   `json:"serviceError"`
	RetryAfter int    `json:"retryAfterSeconds,omitempty"`
}

type connectionStage struct {
	Name         string  `json:"name"`
	Milliseconds float64 `json:"milliseconds"`
}

func renderFailure(f *deskyard.ConnectionFailure) *connectionFailure {
	if f == nil {
		return nil
	}
	return &connectionFailure{Code: f.Code, Symbol: f.Symbol, Message: f.Message, Service: f.Ours, RetryAfter: int(f.Retry / time.Second)}
}

func (s *Server) renderConnection(req *Request, c deskyard.Connection) Body {
	p := connectionProperties{
		User: c.User, UserID: c.UserID, Resource: s.wireIDOf(c.Resource), Door: c.Door, Client: c.Client, Gateway: c.Gateway, State: c.State,
		Failure: renderFailure(c.Failure), Started: arm.Time{Time: c.Started}, Ended: timeOrNull(c.Ended), Reason: c.EndReason, Decision: c.Decision, Traffic: c.Traffic, Stages: []connectionStage{},
	}
	if c.Failure != nil {
		p.Symbol = c.Failure.Symbol
	}
	if !c.Host.IsZero() {
		p.Host, p.HostName = s.wireIDOf(c.Host), c.Host.Name()
	}
	for _, stage := range c.Stages {
		p.Stages = append(p.Stages, connectionStage{stage.Name, float64(stage.Took.Microseconds()) / 1000})
	}
	id := "/subscriptions/" + req.ID.Subscription + "/providers/" + desktopNamespace + "/" + connectionsPath + "/" + c.ID
	return Body{Name: c.ID, ID: id, Type: desktopNamespace + "/" + connectionsPath, Properties: p}
}

// outcome is a rehearsed decision on the wire.
type outcome struct {
	User     string             `json:"userPrincipalName"`
	Resource string             `json:"resourceId"`
	Name     string             `json:"resourceName"`
	Pool     string             `json:"hostPoolId"`
	PoolName string             `json:"hostPoolName"`
	Host     string             `json:"sessionHostName,omitempty"`
	Result   string             `json:"result"` // the host's name, or the failure's symbol
	Reason   string             `json:"reason"`
	Failure  *connectionFailure `json:"failure,omitempty"`
	Starts   string             `json:"startsSessionHost,omitempty"`
	Assigns  bool               `json:"assigns,omitempty"`
	Decision deskyard.Decision  `json:"decision"`
}

// whatIfConnection decides for a user without connecting: {"userPrincipalName"}, at the
// subscription also {"hostPoolId"}.
func (s *Server) whatIfConnection(ctx context.Context, req *Request) (Response, error) {
	c, err := s.connections()
	if err != nil {
		return Response{}, err
	}
	var body struct {
		User string `json:"userPrincipalName"`
		Pool string `json:"hostPoolId"`
	}
	if err := req.Decode(&body); err != nil {
		return Response{}, err
	}
	if body.User == "" {
		return Response{}, arm.Errorf(arm.Invalid, "InvalidParameter", "The property 'userPrincipalName' is required.").WithTarget("userPrincipalName")
	}
	var pool arm.ResourceID
	switch {
	case req.Type != nil:
		if _, err := req.Load(ctx, s.store); err != nil {
			return Response{}, err
		}
		pool = req.ID
	case body.Pool != "":
		if pool, err = arm.ParseID(body.Pool); err != nil {
			return Response{}, arm.Errorf(arm.Invalid, "InvalidParameter", "The value '%s' is not a resource id.", clip(body.Pool)).WithTarget("hostPoolId")
		}
	}
	all, err := c.WhatIf(ctx, body.User, pool)
	if err != nil {
		return Response{}, err
	}
	value := []outcome{}
	for _, o := range all {
		if req.Type == nil && !strings.EqualFold(o.Resource.Pool.Subscription, req.ID.Subscription) {
			continue
		}
		w := outcome{User: o.User, Resource: s.wireIDOf(o.Resource.ID), Name: o.Resource.Name, Pool: s.wireIDOf(o.Resource.Pool), PoolName: o.Resource.Pool.Name(),
			Host: o.Decision.Host, Result: o.Decision.Host, Reason: o.Decision.Reason, Failure: renderFailure(o.Failure), Starts: o.Starts, Assigns: o.Assigns, Decision: o.Decision}
		if o.Failure != nil {
			w.Host, w.Result, w.Reason = "", o.Failure.Symbol, o.Failure.Message
		}
		value = append(value, w)
	}
	return Response{Body: map[string]any{"value": value}}, nil
}
