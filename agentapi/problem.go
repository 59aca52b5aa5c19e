package agentapi

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/deskyard/deskyard/arm"
)

// statuses are the HTTP statuses of refusals on this door.
var statuses = map[arm.Kind]int{
	arm.Invalid: 400, arm.Unauthenticated: 401, arm.Forbidden: 403, arm.Missing: 404, arm.MethodRefused: 405,
	arm.Conflicting: 409, arm.Precondition: 412, arm.TooLarge: 413, arm.Unsupported: 415, arm.Throttled: 429, arm.Unavailable: 503,
}

// problem answers an error in ARM's form and gives the status and code that it had.
// What is not an *arm.Error is logged whole and told as InternalServerError.
func problem(w http.ResponseWriter, log *slog.Logger, err error) (status int, code string) {
	var e *arm.Error
	if !errors.As(err, &e) {
		log.Error("agent request broke", "err", err)
		e = arm.Errorf(arm.Unavailable, "InternalServerError", "The service could not answer. Try again; its log says why.")
	}
	status = statuses[e.Kind]
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "10")
	}
	reply(w, status, map[string]any{"error": e})
	return status, e.Code
}

// reply writes v as JSON. A failed write is the client's loss: it asks again.
func reply(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "the answer could not be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}
