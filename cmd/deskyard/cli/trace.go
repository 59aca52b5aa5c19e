package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// tracer tells of requests on stderr: a line each with --verbose, headers and
// bodies with --debug. Secrets are left out.
type tracer struct {
	out     io.Writer
	verbose bool
	debug   bool
}

func (t *tracer) exchange(req *http.Request, body any, resp *http.Response, text []byte, took time.Duration) {
	if t == nil || !t.verbose && !t.debug {
		return
	}
	t.say("%s %s -> %d in %s (correlation %s)", req.Method, redactURL(req), resp.StatusCode, took.Round(time.Millisecond),
		resp.Header.Get("x-ms-correlation-request-id"))
	if !t.debug {
		return
	}
	t.headers(">", req.Header)
	if body != nil {
		t.say("> %s", redactJSON(body))
	}
	t.headers("<", resp.Header)
	var doc any
	if json.Unmarshal(text, &doc) == nil {
		t.say("< %s", redactJSON(doc))
	} else if len(text) > 0 {
		t.say("< %d bytes that are no JSON", len(text))
	}
}

func (t *tracer) say(format string, args ...any) {
	fmt.Fprintf(t.out, format+"\n", args...) // a closed stderr must not fail the command
}

func (t *tracer) headers(arrow string, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		value := strings.Join(h[name], ", ")
		if secretHeader(name) {
			value = "redacted"
		}
		t.say("%s %s: %s", arrow, name, value)
	}
}

func secretHeader(name string) bool {
	return name == "Authorization" || name == "Cookie" || name == "Set-Cookie"
}

func redactURL(req *http.Request) string {
	u := *req.URL
	u.User = nil
	return u.String()
}

// secretMember reports whether a JSON member of that name may hold a secret.
func secretMember(name string) bool {
	n := strings.ToLower(name)
	return strings.Contains(n, "password") && n != "passwordprofile" || strings.Contains(n, "secret") && n != "secrettype" ||
		n == "token" || strings.HasSuffix(n, "_token") || strings.HasSuffix(n, "accesstoken")
}

// redactJSON renders a document without its secrets.
func redactJSON(v any) string {
	text, err := json.Marshal(v) // through JSON, so that structs are seen by their member names
	if err != nil {
		return "(not shown: " + err.Error() + ")"
	}
	var doc any
	if err := json.Unmarshal(text, &doc); err != nil {
		return "(not shown: " + err.Error() + ")"
	}
	text, err = json.Marshal(redact(doc))
	if err != nil {
		return "(not shown: " + err.Error() + ")"
	}
	return string(text)
}

func redact(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if _, isText := e.(string); isText && secretMember(k) {
				v[k] = "redacted"
			} else {
				v[k] = redact(e)
			}
		}
	case []any:
		for i := range v {
			v[i] = redact(v[i])
		}
	}
	return v
}
