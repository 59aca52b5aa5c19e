package arm

import (
	"errors"
	"fmt"
)

// Error is ARM's error body, used as a Go error throughout. It carries no HTTP
// status: armapi maps Kind to one, in one place.
type Error struct {
	Kind    Kind         `json:"-"`
	Code    string       `json:"code"`
	Message string       `json:"message"`
	Target  string       `json:"target,omitempty"`
	Details []Error      `json:"details,omitempty"`
	Info    []Additional `json:"additionalInfo,omitempty"`
}

// Additional is one entry of an error's additionalInfo.
type Additional struct {
	Type string `json:"type"`
	Info any    `json:"info"`
}

// Kind says what sort of refusal an Error is.
type Kind int

// The kinds and the statuses that ARM gives them.
const (
	Invalid         Kind = iota // 400
	Unauthenticated             // 401
	Forbidden                   // 403
	Missing                     // 404
	MethodRefused               // 405
	Conflicting                 // 409
	Precondition                // 412
	TooLarge                    // 413
	Unsupported                 // 415
	Throttled                   // 429
	Unavailable                 // 503
)

// Error gives code and message.
func (e *Error) Error() string {
	if e.Target != "" {
		return fmt.Sprintf("%s: %s (%s)", e.Code, e.Message, e.Target)
	}
	return e.Code + ": " + e.Message
}

// Errorf makes an Error; format and args make its message.
func Errorf(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithTarget returns a copy of e that names the property or object it is about.
func (e *Error) WithTarget(target string) *Error {
	c := *e
	c.Target = target
	return &c
}

// IsMissing reports whether err says that something does not exist: an Error of kind
// Missing, wrapped or not.
func IsMissing(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == Missing
}

// NotFound is the gateway's answer for a resource that does not exist, in the
// words recorded from Azure.
func NotFound(id ResourceID) *Error {
	if len(id.Segments) == 0 && id.ResourceGroup != "" {
		return Errorf(Missing, "ResourceGroupNotFound", "Resource group '%s' could not be found.", id.ResourceGroup)
	}
	name := ""
	for i, n := range id.Names() {
		if i > 0 {
			name += "/"
		}
		name += n
	}
	return Errorf(Missing, "ResourceNotFound",
		"The Resource '%s/%s' under resource group '%s' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
		id.Type(), name, id.ResourceGroup)
}

// Violations gathers every fault of one body, so that a caller hears of all at once.
type Violations []Error

// Add notes that the property at path (as in JSON, "properties.maxSessionLimit") is wrong.
func (v *Violations) Add(path, format string, args ...any) {
	*v = append(*v, Error{Code: "InvalidParameter", Message: fmt.Sprintf(format, args...), Target: path})
}

// Err is nil when nothing was noted, a single fault as itself, several as details
// of one InvalidRequest.
func (v Violations) Err() error {
	switch len(v) {
	case 0:
		return nil
	case 1:
		e := v[0]
		return &e
	}
	msg := v[0].Message
	for _, d := range v[1:] {
		msg += " " + d.Message
	}
	return &Error{Kind: Invalid, Code: "InvalidRequest", Message: msg, Target: v[0].Target, Details: v}
}
