package armapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// activityDoors show the audit log as Azure shows its activity log.
func (s *Server) activityDoors() []Door {
	const values = "/providers/Microsoft.Insights/eventtypes/management/values"
	return []Door{
		{Method: http.MethodGet, Path: "/subscriptions/{subscription}" + values,
			Permission: "Microsoft.Insights/eventtypes/values/read", Handle: s.activityLog},
		// What happened at the tenant's root: sign-in objects, role assignments.
		{Method: http.MethodGet, Path: values,
			Permission: "Microsoft.Insights/eventtypes/values/read", Handle: s.activityLog},
	}
}

// insightsTypes are the rows of Microsoft.Insights: the activity log's type, and
// diagnostic settings, which Microsoft's templates put on desktops' resources and
// which are kept as they are sent.
func (s *Server) insightsTypes() []ResourceType {
	return []ResourceType{{
		Namespace: "Microsoft.Insights", Path: "eventtypes", Versions: []string{"2014-04-01", "2015-04-01", "2017-03-01-preview"},
		AnyVersion: true, Level: InSubscription,
	}, {
		Namespace: "Microsoft.Insights", Path: "diagnosticSettings", Versions: []string{"2017-05-01-preview", "2021-05-01-preview"},
		AnyVersion: true, Level: Extension, PutNew: http.StatusOK,
		Name:  NameRule{Min: 1, Max: 260},
		Verbs: Verbs{Get: true, Put: true, Delete: true, List: true},
		New:   func() Model { return new(asSent) },
	}}
}

// asSent is the properties of a type that the service keeps and does not read.
type asSent map[string]any

// Default leaves what was sent as it is.
func (*asSent) Default(Model) {}

// Validate finds no fault.
func (*asSent) Validate(Model, *arm.Violations) {}

// Refs are none.
func (*asSent) Refs() []deskyard.Ref { return nil }

// activityLog lists audit events, newest first. $filter takes eventTimestamp ge and
// le, caller, resourceGroupName, resourceUri or resourceId, operationName, status
// and correlationId; $top bounds a page.
func (s *Server) activityLog(ctx context.Context, req *Request) (Response, error) {
	p, err := req.Paging()
	if err != nil {
		return Response{}, err
	}
	query, f, err := activityQuery(req)
	if err != nil {
		return Response{}, err
	}
	query.After, query.Limit = p.After, p.Size
	items := []any{}
	for {
		events, err := s.store.AuditEvents(ctx, query)
		if err != nil {
			return Response{}, err
		}
		for _, e := range events.Items {
			if f == nil || f.match(func(field string) []string { return eventField(e, field) }) {
				items = append(items, s.renderEvent(e))
			}
		}
		// A page of a filtered log may come out short; ARM allows it, empty even. It
		// goes on while the page is empty, so that a client sees progress.
		if events.Next == "" || len(items) > 0 {
			return req.ListResponse(items, events.Next), nil
		}
		query.After = events.Next
	}
}

// activityQuery reads $filter into what the store can find by itself and the rest.
func activityQuery(req *Request) (deskyard.AuditQuery, *odataFilter, error) {
	query := deskyard.AuditQuery{Scope: req.ID}
	text := req.Query("$filter")
	if strings.TrimSpace(text) == "" {
		return query, nil, nil
	}
	f, err := parseOData(text, "eventtimestamp", "caller", "resourcegroupname", "resourceuri", "resourceid",
		"operationname", "operations", "status", "correlationid", "eventchannels", "levels")
	if err != nil {
		return query, nil, err
	}
	for op, at := range map[string]*time.Time{"ge": &query.Since, "le": &query.Until} {
		v, ok := f.must("eventtimestamp", op)
		if !ok {
			continue
		}
		t, err := arm.ParseTime(v)
		if err != nil {
			return query, nil, badQuery("$filter", v, "an ISO 8601 date and time")
		}
		*at = t.Time
	}
	if !query.Until.IsZero() { // the store's bound is exclusive
		query.Until = query.Until.Add(time.Microsecond)
	}
	query.Caller, _ = f.must("caller", "eq")
	query.Action, _ = f.must("operationname", "eq")
	for _, field := range []string{"resourceuri", "resourceid"} {
		if v, ok := f.must(field, "eq"); ok {
			if id, err := arm.ParseID(v); err == nil && within(req.ID, id) {
				query.Scope = id
			}
		}
	}
	if g, ok := f.must("resourcegroupname", "eq"); ok && query.Scope.ResourceGroup == "" && req.ID.Subscription != "" && !strings.ContainsRune(g, '/') {
		query.Scope.ResourceGroup = g
	}
	return query, f, nil
}

// within reports whether id stands at or below scope.
func within(scope, id arm.ResourceID) bool {
	for _, s := range id.Scopes() {
		if s.Equal(scope) {
			return true
		}
	}
	return false
}

func eventField(e deskyard.AuditEvent, field string) []string {
	switch field {
	case "eventtimestamp":
		return []string{e.At.UTC().Format("2006-01-02T15:04:05.000000Z07:00")}
	case "caller":
		return []string{e.Caller, e.CallerID}
	case "resourcegroupname":
		return []string{scopeOf(e).ResourceGroup}
	case "resourceuri", "resourceid":
		var all []string // Azure's filter finds what happened below a resource too
		for _, s := range scopeOf(e).Scopes() {
			all = append(all, s.Key())
		}
		return all
	case "operationname", "operations":
		return []string{e.Action}
	case "status":
		return []string{eventStatus(e)}
	case "correlationid":
		return []string{e.Correlation}
	case "eventchannels":
		return []string{"Admin", "Operation", "Admin, Operation"}
	}
	return []string{eventLevel(e)}
}

func scopeOf(e deskyard.AuditEvent) arm.ResourceID {
	id, _ := arm.ParseID(e.Scope) // the root, when the scope is a path of no resource
	return id
}

func eventStatus(e deskyard.AuditEvent) string {
	if e.Status >= 400 {
		return "Failed"
	}
	return "Succeeded"
}

func eventLevel(e deskyard.AuditEvent) string {
	if e.Status >= 400 {
		return "Error"
	}
	return "Informational"
}

// localized is Azure's pair of a word and its translation.
type localized struct {
	Value          string `json:"value"`
	LocalizedValue string `json:"localizedValue"`
}

func word(s string) localized { return localized{s, s} }

// renderEvent is an audit event as EventData of Microsoft.Insights.
func (s *Server) renderEvent(e deskyard.AuditEvent) map[string]any {
	id := scopeOf(e)
	provider, _, _ := strings.Cut(e.Action, "/")
	at := arm.Time{Time: e.At}
	properties := map[string]string{
		"statusCode": strconv.Itoa(e.Status), "serviceRequestId": e.Correlation, "callerType": e.CallerType, "entity": e.Scope,
	}
	if e.Detail != "" {
		properties["message"] = e.Detail
	}
	return map[string]any{
		"id": e.Scope + "/events/" + e.ID, "eventDataId": e.ID, "correlationId": e.Correlation, "operationId": e.Correlation,
		"caller": e.Caller, "claims": map[string]string{
			"http://schemas.microsoft.com/identity/claims/objectidentifier": e.CallerID,
			"name": e.Caller,
		},
		"authorization": map[string]string{"action": e.Action, "scope": e.Scope},
		"httpRequest":   map[string]string{"clientRequestId": e.Correlation, "clientIpAddress": e.Address},
		"channels":      "Operation", "level": eventLevel(e),
		"category": word("Administrative"), "eventName": word("EndRequest"), "eventSource": word("Administrative"),
		"operationName": word(e.Action), "resourceProviderName": word(provider), "resourceType": word(id.Type()),
		"status": word(eventStatus(e)), "subStatus": localized{e.Code, subStatus(e)},
		"resourceGroupName": id.ResourceGroup, "resourceId": e.Scope, "subscriptionId": id.Subscription, "tenantId": s.opt.Tenant.ID,
		"eventTimestamp": at, "submissionTimestamp": at, "properties": properties,
	}
}

func subStatus(e deskyard.AuditEvent) string {
	text := http.StatusText(e.Status)
	return text + " (HTTP Status Code: " + strconv.Itoa(e.Status) + ")"
}
