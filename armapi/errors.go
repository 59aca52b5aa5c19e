package armapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/deskyard/deskyard/arm"
)

// statuses is the only place where kinds of refusal become HTTP.
var statuses = map[arm.Kind]int{
	arm.Invalid:         http.StatusBadRequest,
	arm.Unauthenticated: http.StatusUnauthorized,
	arm.Forbidden:       http.StatusForbidden,
	arm.Missing:         http.StatusNotFound,
	arm.MethodRefused:   http.StatusMethodNotAllowed,
	arm.Conflicting:     http.StatusConflict,
	arm.Precondition:    http.StatusPreconditionFailed,
	arm.TooLarge:        http.StatusRequestEntityTooLarge,
	arm.Unsupported:     http.StatusUnsupportedMediaType,
	arm.Throttled:       http.StatusTooManyRequests,
	arm.Unavailable:     http.StatusServiceUnavailable,
}

// gatewayCodes are the refusals that in Azure come from Resource Manager itself and
// not from a resource provider; it marks them with x-ms-failure-cause.
var gatewayCodes = map[string]bool{
	"ResourceNotFound": true, "ResourceGroupNotFound": true, "SubscriptionNotFound": true, "ParentResourceNotFound": true,
	"InvalidResourceNamespace": true, "InvalidResourceType": true, "NoRegisteredProviderFound": true, "NotFound": true,
	"MissingApiVersionParameter": true, "InvalidApiVersionParameter": true,
	"AuthorizationFailed": true, "InvalidResourceLocation": true, "MethodNotAllowed": true,
}

// errInternal is all that a caller hears of a fault of the service; the correlation
// id leads to the log line that holds the rest.
var errInternal = &arm.Error{Code: "InternalServerError",
	Message: "The server encountered an internal error. Try again; if it persists, look for the correlation id in the service's log."}

// refusal is what an error looks like to a caller.
type refusal struct {
	status int
	err    *arm.Error
	fault  bool // of the service: to be logged whole
}

func refusalOf(err error) refusal {
	var e *arm.Error
	if errors.As(err, &e) {
		if status, ok := statuses[e.Kind]; ok {
			return refusal{status: status, err: e}
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return refusal{status: http.StatusServiceUnavailable, fault: true, err: arm.Errorf(arm.Unavailable, "ServerTimeout",
			"The request could not be completed in time. Try again.")}
	}
	return refusal{status: http.StatusInternalServerError, err: errInternal, fault: true}
}

// writeError sends the refusal in ARM's envelope.
func writeError(w http.ResponseWriter, method string, f refusal) {
	h := w.Header()
	h.Set("x-ms-error-code", headerSafe(f.err.Code))
	if gatewayCodes[f.err.Code] {
		h.Set("x-ms-failure-cause", "gateway")
	}
	if f.err.Kind == arm.Throttled || f.err.Kind == arm.Unavailable {
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "1")
		}
	}
	if method == http.MethodHead {
		w.WriteHeader(f.status)
		return
	}
	body, err := json.Marshal(struct {
		Error *arm.Error `json:"error"`
	}{f.err})
	if err != nil { // an additionalInfo that JSON cannot hold
		body = []byte(`{"error":{"code":"InternalServerError","message":"The error could not be encoded."}}`)
		f.status = http.StatusInternalServerError
	}
	h.Set("Content-Type", contentJSON)
	w.WriteHeader(f.status)
	_, _ = w.Write(body) // the caller hung up: there is nobody left to tell
}
