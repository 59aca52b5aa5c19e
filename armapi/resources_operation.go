package armapi

import (
	"context"
	"net/http"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// operationDoors tell how long-running operations go. Their ids cannot be guessed,
// and whoever started one may have lost every right with the group it deleted; so
// it is enough to be signed in.
func (s *Server) operationDoors() []Door {
	const sub = "/subscriptions/{subscription}"
	return []Door{
		{Method: http.MethodGet, Path: sub + "/operationresults/{operation}", Handle: s.operationResult},
		{Method: http.MethodGet, Path: sub + "/providers/{namespace}/locations/{location}/operationResults/{operation}", Handle: s.operationResult},
		{Method: http.MethodGet, Path: sub + "/operationStatuses/{operation}", Handle: s.operationStatus},
		{Method: http.MethodGet, Path: sub + "/providers/{namespace}/locations/{location}/operationStatuses/{operation}", Handle: s.operationStatus},
	}
}

func (s *Server) findOperation(ctx context.Context, req *Request) (deskyard.Operation, error) {
	id := req.Vars["operation"]
	o, err := s.store.Operation(ctx, id)
	if arm.IsMissing(err) || err == nil && !sameSubscription(o.Scope, req.ID) {
		return o, arm.Errorf(arm.Missing, "OperationNotFound", "The operation '%s' could not be found.", clip(id))
	}
	return o, err
}

func sameSubscription(a, b arm.ResourceID) bool {
	return arm.ResourceID{Subscription: a.Subscription}.Equal(arm.ResourceID{Subscription: b.Subscription})
}

// operationResult is what Location points at: 202 while the operation runs, then
// what the request would have answered had it not taken long.
func (s *Server) operationResult(ctx context.Context, req *Request) (Response, error) {
	o, err := s.findOperation(ctx, req)
	if err != nil {
		return Response{}, err
	}
	switch {
	case !o.Done():
		h := http.Header{}
		h.Set("Location", req.BaseURL+req.HTTP.URL.RequestURI())
		return Response{Status: http.StatusAccepted, Header: h}, nil
	case o.Error != nil:
		return Response{}, o.Error
	case len(o.Result) > 0:
		return Response{Body: o.Result}, nil
	}
	return Response{Status: http.StatusOK}, nil
}

// statusBody is what Azure-AsyncOperation points at.
type statusBody struct {
	ID              string     `json:"id"`
	Name            string     `json:"name"`
	Status          string     `json:"status"`
	StartTime       arm.Time   `json:"startTime"`
	EndTime         *arm.Time  `json:"endTime,omitempty"`
	PercentComplete float64    `json:"percentComplete"`
	Properties      any        `json:"properties,omitempty"`
	Error           *arm.Error `json:"error,omitempty"`
}

func (s *Server) operationStatus(ctx context.Context, req *Request) (Response, error) {
	o, err := s.findOperation(ctx, req)
	if err != nil {
		return Response{}, err
	}
	b := statusBody{ID: req.HTTP.URL.Path, Name: o.ID, Status: o.Status, StartTime: arm.Time{Time: o.Started},
		PercentComplete: o.Percent, Error: o.Error}
	resp := Response{}
	if o.Done() {
		b.EndTime = &arm.Time{Time: o.Ended}
		if len(o.Result) > 0 && o.Error == nil {
			b.Properties = o.Result
		}
	} else {
		resp.Header = http.Header{"Retry-After": {retrySoon}}
	}
	resp.Body = b
	return resp, nil
}
