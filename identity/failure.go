package identity

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// failure is Entra's error body. Clients show error_description, and some read the
// number in error_codes.
type failure struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes"`
	Timestamp     string `json:"timestamp"`
	TraceID       string `json:"trace_id"`
	CorrelationID string `json:"correlation_id"`
}

var stsNumber = regexp.MustCompile(`^AADSTS(\d{4,9}):`)

// fallback has Entra's number and status for errors that the library words itself.
var fallback = map[string]struct {
	number string
	text   string
}{
	"invalid_request":        {"AADSTS900144", "The request is malformed or lacks a required parameter"},
	"invalid_scope":          {"AADSTS70011", "The provided value for the input parameter 'scope' is not valid"},
	"invalid_grant":          {"AADSTS70000", "The provided grant is invalid"},
	"unsupported_grant_type": {"AADSTS70003", "The app requested an unsupported grant type"},
	"unauthorized_client":    {"AADSTS700016", "The application may not do this"},
	"invalid_client":         {"AADSTS7000218", "The request body must contain the following parameter: 'client_assertion' or 'client_secret'"},
	"server_error":           {"AADSTS90033", "A transient error has occurred. Please try again"},
}

// fail answers with an error in Entra's form: a page for a person, JSON for a program.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, e endpoint, status int, kind, text string) {
	if !stsNumber.MatchString(text) {
		f, ok := fallback[kind]
		if !ok {
			f = fallback["invalid_request"]
		}
		if text == "" || kind == string(oidc.ServerError) {
			text = f.text + "."
		}
		text = f.number + ": " + text
	}
	trace, correlation := uuid.NewString(), correlationID(r)
	stamp := s.now().UTC().Format("2006-01-02 15:04:05Z")
	if e == authorizeEndpoint || e == pageEndpoint || e == logoutEndpoint {
		s.showError(w, r, status, text, correlation)
		return
	}
	body := failure{
		Error: kind, Timestamp: stamp, TraceID: trace, CorrelationID: correlation,
		Description: text + " Trace ID: " + trace + " Correlation ID: " + correlation + " Timestamp: " + stamp,
		Codes:       []int{},
	}
	if m := stsNumber.FindStringSubmatch(text); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			body.Codes = []int{n}
		}
	}
	writeJSON(w, status, body)
}

// correlationID is the client's own id of the request, or a new one.
func correlationID(r *http.Request) string {
	for _, id := range []string{r.Header.Get("client-request-id"), r.URL.Query().Get("client-request-id")} {
		if isGUID(id) {
			return strings.ToLower(id)
		}
	}
	return uuid.NewString()
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "The answer could not be encoded.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client is gone if this fails: there is nobody to tell
}

// failureWriter keeps back an error answer of the library, to be written in Entra's
// form instead.
type failureWriter struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader passes on what is not an error.
func (f *failureWriter) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		f.status = status
		return
	}
	f.ResponseWriter.WriteHeader(status)
}

// Write keeps the body of an error.
func (f *failureWriter) Write(b []byte) (int, error) {
	if f.failed() {
		return f.body.Write(b)
	}
	return f.ResponseWriter.Write(b)
}

func (f *failureWriter) failed() bool { return f.status != 0 }

// failure reads the library's error. A client that could not prove itself gets 401,
// where the library says 400 throughout.
func (f *failureWriter) failure() (status int, kind, text string) {
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(f.body.Bytes(), &body) != nil || body.Error == "" {
		body.Error = string(oidc.ServerError)
		if f.status < http.StatusInternalServerError {
			body.Error, body.Description = string(oidc.InvalidRequest), ""
		}
	}
	if body.Error == string(oidc.InvalidClient) {
		f.status = http.StatusUnauthorized
	}
	return f.status, body.Error, body.Description
}
